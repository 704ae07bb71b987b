"""The files in a file, a folder or a glob, in a fixed order, whatever links or cycles lie on the way."""

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from groundup.corpus.document import Unreadable
from groundup.corpus.sources._ignore import Rules, any_ignores, git_rules
from groundup.errors import DataError


@dataclass(frozen=True, slots=True)
class File:
    """A file, and the id its documents start with: its path below the place that was given."""

    path: str
    id: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to look into: the real paths of those it lies in, and the rules of their .gitignore files."""

    path: str
    above: tuple[str, ...] = ()
    rules: tuple[Rules, ...] = ()


@dataclass(slots=True)
class Walk:
    """What was found below one place."""

    files: list[File] = field(default_factory=list)
    skipped: list[Unreadable] = field(default_factory=list)


def walk(place: str) -> Walk:
    """All files of a place, sorted by id. Hidden files and folders (a leading dot) below it are left out.

    Links are followed; one that leads back into a folder it lies in, or to nothing, is skipped by name, and so is an
    empty file, and what a .gitignore in the place or below it leaves out. Raises DataError when the place is not there,
    or holds no file.
    """
    path = Path(place).expanduser()
    found = Walk()
    if path.is_dir():
        _folder(path, path, found)
    elif path.is_file():
        found.files.append(File(str(path), path.name))
    elif glob.has_magic(place):
        root = _fixed_part(path)
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            if Path(name).is_file():
                found.files.append(File(name, _id(name, root)))
            elif Path(name).is_dir() and not _ends_in_any_depth(place):
                _folder(Path(name), root, found)
    else:
        raise DataError(f"{place}: there is no such file or folder; give --data a path that exists, a glob, or python")
    if not found.files and not found.skipped:
        kind = "the folder holds no files" if path.is_dir() else "no file matches"
        raise DataError(f"{place}: {kind}; put text, HTML, PDF, JSONL, Parquet or other files of text there")
    found.skipped.sort(key=lambda skip: skip.id)
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


def _folder(top: Path, root: Path, found: Walk) -> None:
    """Add the files of a folder and of those in it."""
    waiting = [_Folder(str(top))]
    while waiting:
        folder = waiting.pop()
        here = os.path.realpath(folder.path)
        if here in folder.above:
            _skip(
                found, folder.path, root, "link_cycle", f"a link back to {here}, which it lies in; it is not followed"
            )
            continue
        try:
            with os.scandir(folder.path) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
            rules = (*folder.rules, *git_rules(folder.path))
        except OSError as error:
            why = f"{error.strerror}; give it read permission or leave it out"
            _skip(found, folder.path, root, "unreadable_folder", why)
            continue
        for entry in entries:
            is_folder = entry.is_dir()
            if any_ignores(rules, entry.path, is_folder):
                _skip(found, entry.path, root, "git_ignored", "left out by a .gitignore; to read it, give it by itself")
            elif is_folder:
                waiting.append(_Folder(entry.path, (*folder.above, here), rules))
            else:
                _file(entry, root, found)


def _file(entry: "os.DirEntry[str]", root: Path, found: Walk) -> None:
    """Add what is no folder: a file with something in it, or a skip."""
    try:
        if not entry.is_file():
            _skip(found, entry.path, root, "not_a_file", "a link to nothing, or no regular file")
        elif not entry.stat().st_size:
            _skip(found, entry.path, root, "empty_file", "an empty file")
        else:
            found.files.append(File(entry.path, _id(entry.path, root)))
    except OSError as error:
        _skip(found, entry.path, root, "unreadable_file", f"{error.strerror}")


def _skip(found: Walk, path: str, root: Path, reason: str, why: str) -> None:
    found.skipped.append(Unreadable(_id(path, root), path, reason, f"{path}: {why}"))


def _id(path: str, root: Path) -> str:
    """The path below the root with forward slashes; names that are no UTF-8 are written with U+FFFD."""
    return os.path.relpath(path, root).replace(os.sep, "/").encode("utf-8", "replace").decode()


def _fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    parts = list(pattern.parts)
    magic = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:magic]) if magic else Path()


def _ends_in_any_depth(pattern: str) -> bool:
    """Whether a glob goes to any depth by itself, so that the folders it matches need not be walked."""
    return "**" in PurePath(pattern).parts
