"""What the .gitignore files of a source tree leave out: what was built, installed or downloaded, not written."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one .gitignore, and the folder it lies in."""

    folder: str
    spec: "GitIgnoreSpec"


def git_rules(folder: str) -> tuple[Rules, ...]:
    """The rules of the folder's own .gitignore: one, or none where there is no such file. Raises OSError."""
    path = Path(folder, ".gitignore")
    if not path.is_file():
        return ()
    from pathspec import GitIgnoreSpec

    return (Rules(folder, GitIgnoreSpec.from_lines(path.read_text("utf-8", "replace").splitlines())),)


def any_ignores(rules: tuple[Rules, ...], path: str, is_folder: bool) -> bool:
    """Whether the rules leave a path out. The deepest .gitignore that says anything about it decides, as in git."""
    for each in reversed(rules):
        name = os.path.relpath(path, each.folder).replace(os.sep, "/") + ("/" if is_folder else "")
        said = each.spec.check_file(name).include
        if said is not None:
            return said
    return False
