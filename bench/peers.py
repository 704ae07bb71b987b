"""The others: where each one's code and libraries are. A peer has an environment of its own, made when it is asked for.

`--peer NAME` makes one with the packages it needs, under the user's cache; `--peer NAME=PATH` is told where it is: the
checkout of a peer that is a repository (its own `.venv` is used, if it has one), or the python of an environment.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ConfigError, ResourceError, nearest
from groundup.events import SILENT, Reporter

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


@dataclass(frozen=True)
class Needs:
    """What a peer runs with. `checkout` is a file that its repository has; empty where it is a library."""

    packages: tuple[str, ...]
    checkout: str = ""


PEERS: Mapping[str, Needs] = {
    "nanogpt": Needs(("torch", "numpy"), "configurator.py"),
    "transformers": Needs(("torch", "numpy", "transformers", "safetensors")),
    "tiktoken": Needs(("tiktoken", "numpy")),
    "llamacpp": Needs(("xllamacpp",)),
    "tokenizers": Needs(("tokenizers", "numpy")),
    "datatrove": Needs(("datatrove>=0.10", "spacy", "orjson", "xxhash<4", "nltk")),
}


@dataclass(frozen=True)
class Peer:
    """A peer that is there: its interpreter, and its checkout where it is a repository."""

    name: str
    python: Path
    checkout: Path | None = None


def find(words: Sequence[str], cache: Path, progress: Reporter = SILENT) -> dict[str, Peer]:
    """The peers that `NAME` and `NAME=PATH` mean, by name; environments that are missing are made in `cache`.

    Raises ConfigError for an unknown peer or a path that is not one, ResourceError when an environment cannot be made.
    """
    found = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in PEERS:
            raise ConfigError(f"--peer {word}: there is no peer {name!r}; {nearest(name, PEERS)}")
        found[name] = _peer(name, Path(path).expanduser() if path else None, cache, progress)
    return found


def _peer(name: str, path: Path | None, cache: Path, progress: Reporter) -> Peer:
    needs = PEERS[name]
    if path is None and needs.checkout:
        raise ConfigError(f"--peer {name}: it is a repository; give your checkout of it: --peer {name}=DIR")
    if path is not None and path.is_file():
        return Peer(name, path)
    if path is None or needs.checkout:
        if path is not None and not (path / needs.checkout).is_file():
            raise ConfigError(f"--peer {name}={path}: there is no {needs.checkout} in it; give a checkout of {name}")
        own = None if path is None else _python(path / ".venv")
        python = own if own is not None and own.exists() else _environment(name, needs, cache, progress)
        return Peer(name, python, None if path is None else path.resolve())
    python = _python(path)
    if not python.exists():
        raise ConfigError(f"--peer {name}={path}: it is no environment of Python; give one, or --peer {name} alone")
    return Peer(name, python)


def _environment(name: str, needs: Needs, cache: Path, progress: Reporter) -> Path:
    """The python of the peer's own environment; versions that we pin too are the same."""
    folder = cache / name
    python, whole = _python(folder), folder / "whole"
    if whole.exists():
        return python
    constraints = ["-c", str(CONSTRAINTS)] if name != "datatrove" else []  # it wants an older xxhash and pyarrow
    with progress.task(f"environment of {name}"):
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", *constraints, *needs.packages],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ResourceError(
                    f"the environment of {name} could not be made in {folder}: {done.stderr.strip()[-400:]}; "
                    f"make one with {', '.join(needs.packages)} and give it as --peer {name}=PATH"
                )
    whole.touch()
    return python


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
