"""Save and resume exactly: whole or not at all, checked when read, the one before kept for the day it is needed.

A checkpoint is a folder `step-N` with `tensors.safetensors` and `state.json` (the tree of plain values, the name of a
tensor where one was, and checksums of both). It is written aside, flushed to the disk and renamed into place.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.errors import ResourceError, StoreError
from groundup.events import SILENT, Reporter

FORMAT = 1
_TENSOR = "$tensor"
_PARTIAL = ".partial"
_OS_ERROR = re.compile(r"os error (\d+)")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, 112)  # 112: Windows' ERROR_DISK_FULL


def save(folder: Path, done: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Write `state`, a tree of dicts, lists, plain values and tensors, as `folder/step-N`; older ones beyond `keep` go.

    Raises ResourceError when the disk is full; what was saved before is still there.
    """
    final = folder / f"step-{done:09d}"
    partial = folder / f".{final.name}{_PARTIAL}"
    tensors: dict[str, Tensor] = {}
    tree = _take_out(state, "", tensors)
    with _room_on_disk(partial):
        for left_over in folder.glob(f".*{_PARTIAL}"):
            shutil.rmtree(left_over)
        partial.mkdir(parents=True)
        digest = _write_tensors(tensors, partial / "tensors.safetensors")
        body = {"format": FORMAT, "done": done, "tensors": digest, "tree": tree}
        _write(partial / "state.json", json.dumps({"sha256": _digest(body), "body": body}))
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _sync(folder)
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)
    return final


def load(folder: Path, progress: Reporter = SILENT) -> dict[str, Any] | None:
    """The newest state in `folder` that is whole; None where there is none. A damaged one is named and passed over.

    Raises StoreError for one that a newer version of the program wrote.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            progress.notice(f"{path} is damaged and passed over ({error}); going on from the one before")
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
            own[name].copy_(value)


def save_weights(model: nn.Module, path: Path) -> str:
    """Write `weights(model)` as a safetensors file, and return its sha256: equal weights give equal files.

    Raises ResourceError when the disk is full.
    """
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    with _room_on_disk(partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _write_tensors(weights(model), partial)
        partial.replace(path)
        _sync(path.parent)
    return digest


def load_weights(model: nn.Module, path: Path) -> None:
    """Read a file of `save_weights` into `model`. Raises StoreError if it is damaged or another model's."""
    try:
        values = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read as weights ({error}); remove its stage and run again") from None
    set_weights(model, values, str(path))


def _read(path: Path) -> dict[str, Any]:
    file = json.loads((path / "state.json").read_text(encoding="utf-8"))
    body = file["body"]
    if file["sha256"] != _digest(body):
        raise ValueError("state.json does not match its checksum")
    if body["format"] > FORMAT:
        raise StoreError(f"{path} has the format {body['format']}, this program knows {FORMAT}; use a newer groundup")
    tensors = path / "tensors.safetensors"
    if _file_digest(tensors) != body["tensors"]:
        raise ValueError("tensors.safetensors does not match its checksum")
    tree: dict[str, Any] = _put_back(body["tree"], load_file(tensors))
    return tree


def _take_out(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` with each tensor replaced by its name, which is its path in the tree."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        return {key: _take_out(item, f"{path}/{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    return value


def _put_back(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {key: _put_back(item, tensors) for key, item in value.items()}
    return [_put_back(item, tensors) for item in value] if isinstance(value, list) else value


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Write and flush; the sha256 of the file. One metadata key only: several come in an order that varies."""
    apart: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, value in tensors.items():
        own = value.detach().cpu().contiguous()
        storage = own.untyped_storage().data_ptr()
        apart[name] = own.clone() if storage in storages else own
        storages.add(storage)
    save_file(apart, path, metadata={"format": "pt"})
    _sync(path)
    return _file_digest(path)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the system put a file, or the entries of a folder, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and renames are durable there without it.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _room_on_disk(partial: Path) -> Iterator[None]:
    """Turn a full disk into a ResourceError, and leave nothing of `partial`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors gives the system's error as text alone.
        number = getattr(error, "errno", None) or int((_OS_ERROR.search(str(error)) or [0, 0])[1])
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        if number not in _FULL:
            raise
        raise ResourceError(
            f"the disk of {partial.parent} is full; free some space and run the same command again: it goes on from "
            "the last checkpoint"
        ) from None
