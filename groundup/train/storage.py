"""Where checkpoints lie: a folder of this machine, or any place that fsspec or Arrow opens by its URL.

A checkpoint is there whole or not at all. In a folder it is written aside and renamed; elsewhere its `state.json`,
which holds the checksums of the other files, is sent last, and what lacks it is not there.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from groundup.errors import StoreError

COMMIT = "state.json"
"""The file whose presence makes a checkpoint one."""

PARTIAL = ".partial"
_PREFIX = "step-"


class Storage(Protocol):
    """A place that holds checkpoints, each a few files under one name."""

    aside: Path
    """The folder of this machine in which a checkpoint is written before it is published."""

    def names(self) -> list[str]:
        """The checkpoints that are there, oldest first. Raises StoreError where that cannot be known."""

    def publish(self, partial: Path, name: str) -> None:
        """Take over the files of `partial`, under `name`; what had that name goes."""

    def fetch(self, name: str) -> Path:
        """A folder of this machine with the files of a checkpoint."""

    def remove(self, name: str) -> None:
        """Drop a checkpoint: a kill leaves it whole, or out of sight."""

    def where(self, name: str) -> str:
        """A checkpoint's address, for people."""


class Local:
    """A folder of this machine, or one that it shares with others."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.aside = folder

    def names(self) -> list[str]:
        """The checkpoints that are there, oldest first."""
        return sorted(path.name for path in self.folder.glob(f"{_PREFIX}*"))

    def publish(self, partial: Path, name: str) -> None:
        """Rename `partial`, and have the disk hold the new name before this returns."""
        final, gone = self.folder / name, self._gone(name)
        if final.exists():
            final.rename(gone)
        partial.rename(final)
        sync(self.folder)
        shutil.rmtree(gone, ignore_errors=True)

    def fetch(self, name: str) -> Path:
        """The checkpoint's own folder."""
        return self.folder / name

    def remove(self, name: str) -> None:
        """Out of sight first, then off the disk."""
        gone = self._gone(name)
        (self.folder / name).rename(gone)
        shutil.rmtree(gone)

    def where(self, name: str) -> str:
        """The path of a checkpoint."""
        return str(self.folder / name)

    def _gone(self, name: str) -> Path:
        """Where a checkpoint goes before it is deleted: out of sight, and cleared away by the next save."""
        gone = self.folder / f".{name}.old{PARTIAL}"
        shutil.rmtree(gone, ignore_errors=True)
        return gone


class Remote:
    """A place given by its URL; files go through the folder `aside` of this machine.

    Raises UnsupportedError where a scheme needs a library that is not there, DataError for what is no place.
    """

    def __init__(self, url: str, aside: Path) -> None:
        from groundup.corpus.fetch.remote import opened, shown

        self.url, self.aside = shown(url), aside
        self._files, self._path = opened(url)

    def names(self) -> list[str]:
        """The checkpoints that are there, oldest first. Raises StoreError where the place does not answer."""
        self._files.invalidate_cache()
        try:
            folders = [path.rstrip("/") for path in self._listing(self._path)]
            named = [path for path in folders if path.rpartition("/")[2].startswith(_PREFIX)]
            whole = [path for path in named if f"{path}/{COMMIT}" in self._listing(path)]
        except OSError as error:
            raise StoreError(
                f"{self.url}: cannot be listed, so it is not known what to go on from ({error}); check the address, "
                "the network and your rights, then try again"
            ) from None
        return sorted(path.rpartition("/")[2] for path in whole)

    def publish(self, partial: Path, name: str) -> None:
        """Send the files, `state.json` last; then nothing is left of `partial`."""
        if name in self.names():
            self.remove(name)
        self._files.makedirs(f"{self._path}/{name}", exist_ok=True)
        for path in sorted(partial.iterdir(), key=lambda path: (path.name == COMMIT, path.name)):
            self._files.put_file(str(path), f"{self._path}/{name}/{path.name}")
        shutil.rmtree(partial)

    def fetch(self, name: str) -> Path:
        """The files, brought into a folder beside those that are being written."""
        here = self.aside / f".{name}.read{PARTIAL}"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        for path in self._listing(f"{self._path}/{name}"):
            self._files.get_file(path, str(here / path.rpartition("/")[2]))
        return here

    def remove(self, name: str) -> None:
        """`state.json` first: from then on it is not there."""
        found = self._listing(f"{self._path}/{name}")
        for path in sorted(found, key=lambda path: not path.endswith(f"/{COMMIT}")):
            self._files.rm_file(path)
        with suppress(OSError, NotImplementedError):  # what stands for a folder in a bucket; not all places have that
            self._files.rmdir(f"{self._path}/{name}")

    def where(self, name: str) -> str:
        """The URL of a checkpoint, as it may be printed."""
        from groundup.corpus.fetch.remote import below

        return below(self.url, name)

    def _listing(self, path: str) -> list[str]:
        """What stands in a folder. Not `find`, which is silent about a place that does not answer."""
        try:
            return [str(entry) for entry in self._files.ls(path, detail=False)]
        except FileNotFoundError:
            return []


def name_of(done: int) -> str:
    """The name of the checkpoint after `done` steps: names sort as their steps do."""
    return f"{_PREFIX}{done:09d}"


def step_of(name: str) -> int:
    """The steps that were done when a checkpoint was written."""
    return int(name.removeprefix(_PREFIX))


def sync(path: Path) -> None:
    """Have the system put a file, or the entries of a folder, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and renames are durable there without it.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
