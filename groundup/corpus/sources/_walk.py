"""The files in a file, a folder or a glob, in a fixed order, whatever links or cycles lie on the way."""

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from groundup.corpus.document import Unreadable
from groundup.errors import DataError


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the id its documents start with: its path below the place that was given."""

    path: str
    id: str


@dataclass(slots=True)
class Walk:
    """What was found below one place."""

    files: list[Found] = field(default_factory=list)
    skipped: list[Unreadable] = field(default_factory=list)


def walk(place: str) -> Walk:
    """All files of a place, sorted by id. Hidden files and folders (a leading dot) below it are left out.

    Links are followed; one that leads back into a folder it lies in, or to nothing, is skipped by name. Raises
    DataError when the place is not there, or holds no file.
    """
    path = Path(place).expanduser()
    found = Walk()
    if path.is_dir():
        _folder(path, path, found, ())
    elif path.is_file():
        found.files.append(Found(str(path), path.name))
    elif glob.has_magic(place):
        root = _fixed_part(path)
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            if Path(name).is_file():
                found.files.append(Found(name, _id(Path(name), root)))
            elif Path(name).is_dir() and not _ends_in_any_depth(place):
                _folder(Path(name), root, found, ())
    else:
        raise DataError(f"{place}: there is no such file or folder; give --data a path that exists, a glob, or python")
    if not found.files and not found.skipped:
        kind = "the folder holds no files" if path.is_dir() else "no file matches"
        raise DataError(f"{place}: {kind}; put text, HTML, JSONL or Parquet files there")
    found.files = sorted({file.path: file for file in found.files}.values(), key=lambda file: file.id)
    return found


def label_of(place: str) -> str:
    """A short name for a place: that of its file or folder, without suffixes.

    >>> label_of("texts/books.jsonl.zst"), label_of("texts/v1.2/*.txt")
    ('books', 'v1.2')
    """
    path = Path(place).expanduser()
    if path.is_dir() or (glob.has_magic(place) and not path.exists()):
        return (path if path.is_dir() else _fixed_part(path)).resolve().name or "data"
    return path.name.lstrip(".").partition(".")[0] or "data"


def _folder(folder: Path, root: Path, found: Walk, above: tuple[str, ...]) -> None:
    """Add the files of a folder and of those in it; `above` are the real paths of the folders it lies in."""
    here = os.path.realpath(folder)
    if here in above:
        detail = f"{folder}: a link back to {here}, which it lies in; it is not followed"
        found.skipped.append(Unreadable(_id(folder, root), str(folder), "link_cycle", detail))
        return
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        detail = f"{folder}: {error.strerror}; give it read permission or leave it out"
        found.skipped.append(Unreadable(_id(folder, root), str(folder), "unreadable_folder", detail))
        return
    for name in names:
        path = folder / name
        if path.is_dir():
            _folder(path, root, found, (*above, here))
        elif path.is_file():
            found.files.append(Found(str(path), _id(path, root)))
        else:
            detail = f"{path}: a link to nothing, or no regular file"
            found.skipped.append(Unreadable(_id(path, root), str(path), "not_a_file", detail))


def _id(path: Path, root: Path) -> str:
    """The path below the root with forward slashes; names that are no UTF-8 are written with U+FFFD."""
    return PurePath(os.path.relpath(path, root)).as_posix().encode("utf-8", "replace").decode()


def _fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    parts = list(pattern.parts)
    magic = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:magic]) if magic else Path()


def _ends_in_any_depth(pattern: str) -> bool:
    """Whether a glob goes to any depth by itself, so that the folders it matches need not be walked."""
    return "**" in PurePath(pattern).parts
