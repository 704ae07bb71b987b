"""Artifacts and runs: what a stage leaves behind, published whole or not at all; one writer at a time.

runs/NAME/
    run.json        format version, name, when it was made
    recipe.toml     every setting, resolved       origins.json   where each setting came from
    current.json    stage -> its artifact         journal.jsonl  what a timed run decided, and when
    artifacts/KIND-FINGERPRINT/                   manifest.json and the artifact's own files
    scratch/KIND-FINGERPRINT/                     unfinished work that a killed stage goes on from
    metrics/  report.html  lock
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import groundup
from groundup.errors import StoreError, nearest

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Artifact:
    """What one stage left: a folder of files, and the facts that the report prints."""

    kind: str
    path: Path
    fingerprint: str
    parents: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0


@dataclass
class Draft:
    """An artifact in the making: write files under `path` and fill `facts`."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def runs_in(folder: Path) -> list[str]:
    """Names of the runs in a folder, sorted."""
    return sorted(entry.parent.name for entry in folder.glob("*/run.json"))


def check_name(name: str) -> str:
    """The name itself, if it is one. Raises StoreError for anything that could leave the runs folder."""
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"run name {name!r}: use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return name


class Store:
    """One run's folder. `Store.open` for reading, `Store.create` for a new one, `locked()` to write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.root.name

    @classmethod
    def create(cls, runs: Path, name: str) -> "Store":
        """The run `name` under `runs`, made if it is not there. Raises StoreError for a bad name."""
        store = cls(runs / check_name(name))
        if not store.exists():
            store.root.mkdir(parents=True, exist_ok=True)
            store.write_json(
                "run.json", {"format": FORMAT, "name": name, "created": _now(), "groundup": groundup.__version__}
            )
        return cls.open(runs, name)

    @classmethod
    def open(cls, runs: Path, name: str) -> "Store":
        """The run `name` under `runs`. Raises StoreError if there is none, or if it is of a newer format."""
        store = cls(runs / check_name(name))
        if not store.exists():
            raise StoreError(f"there is no run {name!r} in {runs}; {nearest(name, runs_in(runs))}")
        version = store.read_json("run.json").get("format")
        if version != FORMAT:
            raise StoreError(
                f"run {name!r} has format {version}, this groundup {groundup.__version__} reads format {FORMAT}: "
                "use the groundup that made it, or a newer one"
            )
        return store

    def exists(self) -> bool:
        """Is there a run here?"""
        return (self.root / "run.json").is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for writing. Raises StoreError if another process holds it; a killed one holds nothing."""
        lock = FileLock(self.root / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StoreError(
                f"run {self.name!r} is in use by another groundup process; wait for it or stop it, then try again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def find(self, kind: str, fingerprint: str) -> Artifact | None:
        """The finished artifact of that fingerprint, or None."""
        path = self.root / "artifacts" / f"{kind}-{fingerprint}"
        manifest = path / "manifest.json"
        if not manifest.is_file():
            return None
        fields = json.loads(manifest.read_text(encoding="utf-8"))
        return Artifact(**{**fields, "parents": tuple(fields["parents"]), "path": path})

    def all(self, kind: str) -> list[Artifact]:
        """Every finished artifact of a kind, oldest first."""
        folders = (self.root / "artifacts").glob(f"{kind}-*/manifest.json")
        found = [self.find(kind, manifest.parent.name.removeprefix(f"{kind}-")) for manifest in folders]
        return sorted((artifact for artifact in found if artifact), key=lambda artifact: artifact.created)

    def current(self) -> dict[str, Artifact]:
        """Stage -> the artifact it made last."""
        if not (self.root / "current.json").is_file():
            return {}
        found = {kind: self.find(kind, print_) for kind, print_ in self.read_json("current.json").items()}
        return {kind: artifact for kind, artifact in found.items() if artifact is not None}

    def facts(self) -> dict[str, Any]:
        """Stage -> the facts of what it made last."""
        return {kind: dict(artifact.facts) for kind, artifact in self.current().items()}

    def scratch(self, kind: str, fingerprint: str) -> Path:
        """A folder for unfinished work. It outlives a kill and goes when the artifact is published."""
        path = self.root / "scratch" / f"{kind}-{fingerprint}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def publish(
        self, kind: str, fingerprint: str, parents: Sequence[str], config: Mapping[str, Any]
    ) -> Iterator[Draft]:
        """An artifact in the making; renamed into place on a clean exit, else nothing is left of it."""
        final = self.root / "artifacts" / f"{kind}-{fingerprint}"
        aside = self.root / "artifacts" / f".draft-{kind}-{fingerprint}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        draft = Draft(aside)
        try:
            yield draft
            manifest = Artifact(
                kind, final, fingerprint, tuple(parents), config, draft.facts, _now(), round(draft.seconds, 3)
            )
            fields = {key: value for key, value in asdict(manifest).items() if key != "path"}
            (aside / "manifest.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")
            _sync_tree(aside)
            shutil.rmtree(final, ignore_errors=True)
            aside.rename(final)
            _sync(final.parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self.write_json("current.json", {**self._pointers(), kind: fingerprint})
        shutil.rmtree(self.root / "scratch" / f"{kind}-{fingerprint}", ignore_errors=True)

    def point(self, kind: str, artifact: Artifact) -> None:
        """Make a finished artifact the stage's current one."""
        if self._pointers().get(kind) != artifact.fingerprint:
            self.write_json("current.json", {**self._pointers(), kind: artifact.fingerprint})

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run. Raises StoreError if it is damaged."""
        try:
            return dict(json.loads((self.root / name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{self.root / name} cannot be read ({error}); remove the run with `groundup rm`"
            ) from None

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a JSON file of the run, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=1, ensure_ascii=False))

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file of the run, whole or not at all."""
        aside = self.root / f".{name}.new"
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.root / name)

    def journal(self, stage: str, fingerprint: str) -> list[dict[str, Any]]:
        """What was journalled for one artifact, in order. A line torn by a kill is passed over."""
        path = self.root / "journal.jsonl"
        rows = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["stage"] == stage and row["fingerprint"] == fingerprint:
                rows.append(row)
        return rows

    def note(self, stage: str, fingerprint: str, **entry: Any) -> None:
        """Append one entry to the journal, on disk before this returns."""
        path = self.root / "journal.jsonl"
        torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as file:
            row = json.dumps({"stage": stage, "fingerprint": fingerprint, **entry})
            file.write(("\n" if torn else "") + row + "\n")
            file.flush()
            os.fsync(file.fileno())

    def size(self) -> int:
        """Bytes that the run takes on disk."""
        return sum(file.stat().st_size for file in self.root.rglob("*") if file.is_file())

    def prune(self, keep: Sequence[Artifact]) -> None:
        """Drop all scratch, and finished artifacts that are no longer current, except those in `keep`."""
        wanted = {artifact.path.name for artifact in (*self.current().values(), *keep)}
        for place in ("artifacts", "scratch"):
            for folder in (self.root / place).glob("*"):
                if place == "scratch" or folder.name not in wanted:
                    shutil.rmtree(folder, ignore_errors=True)

    def discard(self) -> None:
        """Take back a run that was created and never got a recipe."""
        if not (self.root / "recipe.toml").exists():
            shutil.rmtree(self.root, ignore_errors=True)

    def remove(self) -> None:
        """Delete the run. Raises StoreError if another process is using it."""
        with self.locked():
            for entry in self.root.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != "lock":
                    entry.unlink()
        shutil.rmtree(self.root, ignore_errors=True)

    def _pointers(self) -> dict[str, str]:
        return self.read_json("current.json") if (self.root / "current.json").is_file() else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Ask the disk to hold a file or folder; folders cannot be opened on Windows, where rename is journalled."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
