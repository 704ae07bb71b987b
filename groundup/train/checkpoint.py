"""Save and resume exactly: whole or not at all, checked when read, the one before kept for the day it is needed.

A checkpoint is a folder `step-N` with `tensors.safetensors` and `state.json` (the tree of plain values, the name of a
tensor where one was, and checksums of both). It is written aside, flushed to the disk and renamed into place. Of
several ranks each writes a file (`shards.py`), and the first one the rest, when all files are there. Who writes when is
in `saving.py`, where to in `storage.py`.
"""

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.errors import ResourceError, StoreError
from groundup.events import SILENT, Reporter
from groundup.mesh import Mesh, spread_like
from groundup.train import shards
from groundup.train.shards import TENSOR, Team
from groundup.train.storage import COMMIT, PARTIAL, Local, Storage, name_of, step_of, sync

FORMAT = 2
"""1: one file of tensors. 2: one a rank. What one process writes has the format 1."""

TENSORS = "tensors.safetensors"
_OS_ERROR = re.compile(r"os error (\d+)")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, 112)  # 112: Windows' ERROR_DISK_FULL

Passing = Callable[[str], None]
MOMENTS = ("copied", "written", "flushed", "published", "cleaning")
"""What `passing` is told on the way of a save, in this order, so that a test can end the process at each."""


class Copy:
    """A state as it was at one moment, in memory of its own: training goes on while it is written.

    `update` uses the memory of the copy before (pinned where the state is on a GPU), so one copy is held at a time.
    """

    def __init__(self, team: Team | None = None) -> None:
        self.team = team or Team()
        self.done = 0
        self.tree: Any = None
        self.tensors: dict[str, Tensor] = {}
        self.header: dict[str, str] = {}

    def update(self, done: int, state: Mapping[str, Any]) -> None:
        """Hold `state`, a tree of dicts, lists, plain values and tensors, as it is after `done` steps.

        Of tensors that are spread over ranks, or that others hold too, each rank holds what it is to write.
        """
        live: dict[str, Tensor] = {}
        self.done, self.tree = done, _take_out(state, "", live)
        if self.team.mesh.world > 1:
            live, self.header = self.team.own(live)
        self.tensors = _owned(live, self.tensors)


def write(
    copy: Copy, storage: Storage, keep: int = 2, milestones: int | None = None, passing: Passing = lambda moment: None
) -> None:
    """Write a copy as a checkpoint, then drop all but the newest `keep` and each that is a multiple of `milestones`.

    Raises ResourceError when the disk is full; what was saved before is still there.
    """
    name, team = name_of(copy.done), copy.team
    partial = storage.aside / f".{name}{team.token}{PARTIAL}"
    with _room_on_disk(partial, clear=team.mesh.first):
        for left_over in storage.aside.glob(f".*{PARTIAL}") if team.mesh.first else ():
            if left_over != partial or team.mesh.world == 1:
                shutil.rmtree(left_over)
        partial.mkdir(parents=True, exist_ok=team.mesh.world > 1)
        files = _write_files(copy, partial, passing)
        if not team.mesh.first:
            return
        body = {"format": 2 if "files" in files else 1, "done": copy.done, **files, "tree": copy.tree}
        (partial / COMMIT).write_text(json.dumps({"sha256": _digest(body), "body": body}), encoding="utf-8")
        sync(partial / COMMIT)
        passing("flushed")
        storage.publish(partial, name)
    passing("published")
    for old in storage.names()[:-keep]:
        if milestones is None or step_of(old) % milestones:
            storage.remove(old)
            passing("cleaning")


def save(folder: Path, done: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Write `state` as `folder/step-N`, at once; older ones beyond `keep` go.

    Raises ResourceError when the disk is full; what was saved before is still there.
    """
    copy = Copy()
    copy.update(done, state)
    write(copy, Local(folder), keep)
    return folder / name_of(done)


def load(
    place: Path | Storage,
    progress: Reporter = SILENT,
    before: int | None = None,
    team: Team | None = None,
    like: Mapping[str, Tensor] | None = None,
) -> dict[str, Any] | None:
    """The newest state in `place` that is whole; None where there is none. A damaged one is named and passed over.

    With `before`, only those of fewer steps are looked at. A `team` decides together; weights and optimizer state are
    then laid out as the parameters `like` are. Raises StoreError for one that a newer version of the program wrote,
    and where `place` does not answer.
    """
    storage, team = Local(place) if isinstance(place, Path) else place, team or Team()
    for name in reversed(team.mesh.agree(storage.names() if team.mesh.first else [])):
        if before is not None and step_of(name) >= before:
            continue
        damage = ""
        try:
            folder = _fetched(storage, name, team)
            body = _checked(folder, team)
            files = {TENSORS} if body["format"] == 1 else set(body["files"])
            tensors = load_file(folder / TENSORS) if files == {TENSORS} and team.mesh.world == 1 else None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            damage = str(error)
        if team.mesh.any(bool(damage)):
            why = damage or "as another rank found"
            progress.notice(f"{storage.where(name)} is damaged and passed over ({why}); going on from the one before")
            continue
        if tensors is None:
            tensors = shards.read(folder, body["tree"], like)
        tree: dict[str, Any] = _put_back(body["tree"], tensors)
        return tree
    return None


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights and buffers of `model` by name, live; one that has two names (tied) comes once, under the first."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            found[name] = value.detach()
    return found


def set_weights(model: nn.Module, values: Mapping[str, Tensor], origin: str = "the saved state") -> None:
    """Copy `values` into `model`. Raises StoreError, naming `origin`, where names or shapes are not the model's."""
    own = weights(model)
    for name in sorted(own.keys() ^ values.keys()):
        side = "lacks" if name in own else "has"
        raise StoreError(f"{origin} {side} {name!r}, so it is not of this model; use the recipe it was made with")
    for name, value in values.items():
        if own[name].shape != value.shape:
            raise StoreError(
                f"{origin}: {name!r} is {tuple(value.shape)} and the model's is {tuple(own[name].shape)}; "
                "use the recipe it was made with"
            )
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(spread_like(value, own[name]))


def save_weights(model: nn.Module, path: Path, mesh: Mesh | None = None) -> str:
    """Write `weights(model)` as a safetensors file, and return its sha256: equal weights give equal files.

    Where they are split over the ranks of `mesh`, all must call it, and what the first one writes is whole.
    Raises ResourceError when the disk is full.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with _room_on_disk(partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _write_tensors(_owned((mesh or Mesh()).collect(weights(model))), partial)
        partial.replace(path)
        sync(path.parent)
    return digest


def load_weights(model: nn.Module, path: Path) -> None:
    """Read a file of `save_weights` into `model`. Raises StoreError if it is damaged or another model's."""
    try:
        values = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read as weights ({error}); remove its stage and run again") from None
    set_weights(model, values, str(path))


def _fetched(storage: Storage, name: str, team: Team) -> Path:
    """The folder with a checkpoint's files: the first rank brings them here. Raises OSError where it could not."""
    if team.mesh.world == 1:
        return storage.fetch(name)
    found = ""
    if team.mesh.first:
        with suppress(OSError, ValueError):
            found = str(storage.fetch(name))
    found = team.mesh.agree(found)
    if not found:
        raise OSError("the first rank could not fetch it")
    return Path(found)


def _checked(path: Path, team: Team) -> dict[str, Any]:
    """What `state.json` says, once the files are found to be as they were written: ranks share that work.

    Raises StoreError for a newer format, ValueError for damage.
    """
    file = json.loads((path / COMMIT).read_text(encoding="utf-8"))
    body: dict[str, Any] = file["body"]
    if file["sha256"] != _digest(body):
        raise ValueError("state.json does not match its checksum")
    if body["format"] > FORMAT:
        raise StoreError(f"{path} has the format {body['format']}, this program knows {FORMAT}; use a newer groundup")
    files = sorted(body["files"].items()) if body["format"] == 2 else [(TENSORS, body["tensors"])]
    for name, digest in files[team.mesh.rank :: team.mesh.world]:
        if _file_digest(path / name) != digest:
            raise ValueError(f"{name} does not match its checksum")
    return body


def _take_out(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` with each tensor replaced by its name, which is its path in the tree."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, Mapping):
        return {key: _take_out(item, f"{path}/{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    return value


def _put_back(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {TENSOR}:
            return tensors[value[TENSOR]]
        return {key: _put_back(item, tensors) for key, item in value.items()}
    return [_put_back(item, tensors) for item in value] if isinstance(value, list) else value


def _owned(live: Mapping[str, Tensor], before: Mapping[str, Tensor] = {}) -> dict[str, Tensor]:
    """The tensors in memory of their own on this machine, that of `before` where it fits."""
    own = {}
    for name, value in live.items():
        old = before.get(name)
        if old is None or old.shape != value.shape or old.dtype != value.dtype:
            old = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
        own[name] = old.copy_(value.detach(), non_blocking=True)
    if any(value.is_cuda for value in live.values()):
        torch.cuda.synchronize()
    return own


def _write_files(copy: Copy, partial: Path, passing: Passing) -> dict[str, Any]:
    """Write the tensors of this process; for `state.json`, the checksum of the one file, or those of all ranks' files.

    Raises OSError where another rank failed; ranks but the first know their own part alone.
    """
    team = copy.team
    if team.mesh.world == 1:
        return {"tensors": _write_tensors(copy.tensors, partial / TENSORS, passing)}
    try:
        digest = _write_tensors(copy.tensors, partial / team.file, passing, copy.header)
    except (OSError, SafetensorError) as error:
        team.tell(partial, "", str(error))
        raise
    team.tell(partial, digest)
    return {"files": team.told(partial)} if team.mesh.first else {}


def _write_tensors(
    tensors: Mapping[str, Tensor],
    path: Path,
    passing: Passing = lambda moment: None,
    header: Mapping[str, str] | None = None,
) -> str:
    """Write and flush; the sha256 of the file. With one key in the header it is the same for the same tensors."""
    save_file(dict(tensors), path, metadata={"format": "pt", **(header or {})})
    passing("written")
    sync(path)
    return _file_digest(path)


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _room_on_disk(partial: Path, clear: bool = True) -> Iterator[None]:
    """Turn a full disk into a ResourceError, and leave nothing of `partial` (with `clear`)."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors gives the system's error as text alone.
        number = getattr(error, "errno", None) or int((_OS_ERROR.search(str(error)) or [0, 0])[1])
        if clear and partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        elif clear:
            partial.unlink(missing_ok=True)
        if number not in _FULL:
            raise
        raise ResourceError(
            f"the disk of {partial.parent} is full; free some space and run the same command again: it goes on from "
            "the last checkpoint"
        ) from None
