"""A state that is spread over ranks, on disk: each rank writes what it alone holds, each layout reads what it needs.

The files are those of PyTorch's distributed checkpoint (DCP) as its HuggingFaceStorageWriter lays them out, safetensors
with the place of every piece in its whole in the header. DCP reads them, on any number of ranks and in any layout.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from groundup.mesh import Mesh, local
from groundup.optim._optimizer import parameter_of

PLACES, OFFSETS = "DCP_SHARDING_INFO", "saved_offsets"
"""DCP's names for the places of pieces."""

PATIENCE_SECONDS = 1800.0
"""How long the first rank waits for the others' files."""

TENSOR = "$tensor"
"""Marks, in the tree of plain values, the path of a tensor."""

WEIGHTS, OPTIMIZER = "/trainer/weights/", "/trainer/optimizer/"
"""Where a stage's state has what follows the parameters, by their names."""


@dataclass(frozen=True)
class Team:
    """The ranks that save together. `token` tells their files from those of an attempt that was killed."""

    mesh: Mesh = field(default_factory=Mesh)
    token: str = ""

    @classmethod
    def of(cls, mesh: Mesh) -> "Team":
        """The ranks of a mesh, which must all ask together."""
        return cls(mesh, mesh.agree(f".{time.time_ns():x}")) if mesh.world > 1 else cls()

    @property
    def file(self) -> str:
        """The name of what this rank writes."""
        return f"tensors-{self.mesh.rank + 1:05d}-of-{self.mesh.world:05d}.safetensors"

    def own(self, live: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The pieces that this rank is to write, and their places for the header. All ranks must ask together.

        Of what several ranks hold the lowest writes it.
        """
        held = {name: (local(value), _offsets(value)) for name, value in live.items()}
        keys = [(name, offsets) for name, (value, offsets) in held.items() if value.numel() or not offsets]
        before = {key for theirs in self._lists(keys)[: self.mesh.rank] for key in theirs}
        mine = {name: held[name] for name, offsets in keys if (name, offsets) not in before}
        places = {name: {OFFSETS: offsets} for name, (_, offsets) in mine.items()}
        return {name: value for name, (value, _) in mine.items()}, {PLACES: json.dumps(places)}

    def odd_ones(self, live: Mapping[str, Tensor]) -> list[int] | None:
        """Ranks whose numbers differ from those of others that should hold the same; None where no two ranks do, but
        for single numbers such as counts of steps.

        Of two that differ both are named, of more the fewer. All ranks must ask together. One changed bit is found: the
        sum of all numbers, taken as integers, is another.
        """
        held = {(name, _offsets(value)): _checksum(local(value)) for name, value in live.items()}
        said: dict[Any, list[tuple[int, int]]] = {}
        for rank, theirs in enumerate(self._lists(list(held.items())) if self.mesh.world > 1 else []):
            for key, checksum in theirs:
                said.setdefault(key, []).append((rank, checksum))
        if not any(offsets and len(each) > 1 for (_, offsets), each in said.items()):
            return None
        odd = set()
        for each in said.values():
            votes = Counter(checksum for _, checksum in each)
            most = max(votes.values())
            right = [checksum for checksum, count in votes.items() if count == most]
            odd |= {rank for rank, checksum in each if len(votes) > 1 and (len(right) > 1 or checksum != right[0])}
        return sorted(odd)

    def tell(self, folder: Path, digest: str, error: str = "") -> None:
        """Leave word that this rank's file is on the disk, or why it is not."""
        mark = folder / f".rank-{self.mesh.rank}"
        mark.write_text(json.dumps({"file": self.file, "sha256": digest, "error": error}), encoding="utf-8")
        mark.rename(folder / mark.name[1:])

    def told(self, folder: Path) -> dict[str, str]:
        """Wait for the word of all ranks: file -> checksum. Raises OSError, naming a rank that failed or is silent."""
        files, until = {}, time.monotonic() + PATIENCE_SECONDS
        for rank in range(self.mesh.world):
            mark = folder / f"rank-{rank}"
            while not mark.exists():
                if time.monotonic() > until:
                    raise OSError(f"rank {rank} did not write its part in {PATIENCE_SECONDS:.0f} s")
                time.sleep(0.01)
            said = json.loads(mark.read_text(encoding="utf-8"))
            if said["error"]:
                raise OSError(f"rank {rank}: {said['error']}")
            files[said["file"]] = said["sha256"]
            mark.unlink()
        return files

    def _lists(self, keys: list[Any]) -> list[list[Any]]:
        """What every rank says."""
        from torch import distributed

        found: list[Any] = [None] * self.mesh.world
        distributed.all_gather_object(found, keys, group=getattr(self.mesh, "patient", None))
        return found


def read(folder: Path, tree: Any, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by their path in the state, laid out as the parameters `like` are in this process.

    Of weights and optimizer state only what belongs to those parameters is read, all else whole; with None, all of it.
    The stage's `tree` of plain values was the first rank's; it is given the names of what this process holds.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    found: dict[str, Tensor] = {}
    for path, about in reader.read_metadata().state_dict_metadata.items():
        if isinstance(about, TensorStorageMetadata) and (owner := _owner(path, like)) is not None:
            shape, dtype = tuple(about.size), about.properties.dtype
            whole = torch.empty(0, dtype=dtype) if not like or not owner else like[owner]
            alike = tuple(whole.shape) == shape
            found[path] = torch.empty_like(whole, dtype=dtype) if alike else torch.empty(shape, dtype=dtype)
    load(found, storage_reader=reader, no_dist=True)
    for prefix in (WEIGHTS, OPTIMIZER):
        held = {path.removeprefix(prefix): {TENSOR: path} for path in found if path.startswith(prefix)}
        if held:
            _, stage, part, _ = prefix.split("/")
            tree[stage][part] = held
    return found


def _owner(path: str, like: Iterable[str] | None) -> str | None:
    """The parameter that a tensor follows; empty for none, or where all are wanted; None where it is elsewhere."""
    if like is None:
        return ""
    if path.startswith(WEIGHTS):
        name = path.removeprefix(WEIGHTS)
    elif path.startswith(OPTIMIZER):
        name = parameter_of(path.removeprefix(OPTIMIZER).rpartition(".")[0])
    else:
        return ""
    return name if name in like else None


def _checksum(value: Tensor) -> int:
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()]
    return int(value.detach().contiguous().view(kind).sum(dtype=torch.int64))


def _offsets(value: Tensor) -> tuple[int, ...]:
    """Where this rank's part of a tensor begins in the whole."""
    if not hasattr(value, "placements"):
        return (0,) * value.dim()
    chunks = cast(Any, value).__create_chunk_list__()  # what DCP itself asks of it
    return tuple(chunks[0].offsets) if chunks else (0,) * value.dim()
