"""A model that was made elsewhere comes in: a Hugging Face folder as a model, a tokenizer and what is known of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from groundup.errors import DataError, UnsupportedError
from groundup.formats._stock import HEAD, config_in, stock_of, weights_in
from groundup.formats._vocabulary import read_tokenizer
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer

INDEX = "model.safetensors.index.json"

LENGTH = 2048
"""The context that a model comes in with, unless asked for more: every row of a batch reserves memory for all of it."""


@dataclass(frozen=True)
class Incoming:
    """A model that came in, its tokenizer, what is known of it, and what a person should know of the change."""

    model: Model
    tokenizer: Tokenizer
    facts: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)


def read(folder: Path, length: int | None = None, tokenizer: Path | None = None) -> Incoming:
    """The model in a Hugging Face folder as one of ours; its tokenizer may lie in another folder.

    Weights are kept to the last bit. Where the tokenizer had no room for the tokens of a chat, the embedding has rows
    more, each the mean of the others (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").
    Raises DataError and UnsupportedError as `read_model` and `read_tokenizer` do.
    """
    path = folder / "config.json"
    config = read_json(path)
    said = config_in(config, path)[0].length
    model = read_model(folder, length or min(said, LENGTH))
    learned, notes = read_tokenizer((tokenizer or folder) / "tokenizer.json", model.vocab_size)
    if learned.vocab_size > model.vocab_size:
        model = _wider(model, learned.vocab_size)
    if model.config.length < said:
        notes.append(f"its context of {said:,} tokens is {model.config.length:,} here; --length N takes up to {said}")
    facts = {
        "folder": folder.resolve().name,
        "architecture": model.exports["huggingface"],
        "precision": str(config.get("dtype") or config.get("torch_dtype") or "float32"),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "vocab_size": learned.vocab_size,
        "sha256": digest(folder),
    }
    return Incoming(model, learned, facts, notes)


def digest(folder: Path) -> str:
    """The sha256 of the folder's config and weights."""
    found = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def read_model(folder: Path, length: int | None = None) -> Model:
    """The model in a Hugging Face folder, its weights in float32; `length` shortens its context.

    Raises DataError for a folder that is not whole, and UnsupportedError, naming the field, for what no model of the
    house computes.
    """
    path = folder / "config.json"
    config, V = config_in(read_json(path), path, length)
    with torch.device("meta"):
        model = config.module(V)
    values = weights_in(stock_of(model), read_tensors(folder), config.tied, path)
    _check(model, values, folder)
    model.load_state_dict(values, assign=True)
    return model.eval()


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the folder's safetensors files. Raises DataError where they are missing or damaged."""
    names = ["model.safetensors"]
    if (folder / INDEX).is_file():
        names = sorted(set(read_json(folder / INDEX).get("weight_map", {}).values()))
    found: dict[str, Tensor] = {}
    for name in names:
        path = folder / Path(name).name  # an index may not lead out of its folder
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; {_instead(folder)}")
        try:
            found |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path}: not a safetensors file ({error}); fetch it again") from None
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table. Raises DataError for a file that is missing or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; give a Hugging Face model folder") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a JSON file ({error}); fetch it again") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: holds a {type(value).__name__} and no table; fetch it again")
    return value


def _wider(model: Model, vocab_size: int) -> Model:
    """The model with rows for more ids, each the mean of those there are."""
    with torch.device("meta"):
        wider = model.config.module(vocab_size)
    values = model.state_dict()
    table = next(name for name, weight in model.named_parameters() if weight is model.embedding.weight)
    for name in {table, HEAD} & values.keys():
        rows = vocab_size - len(values[name])
        values[name] = torch.cat([values[name], values[name].mean(0, keepdim=True).expand(rows, -1)])
    wider.load_state_dict(values, assign=True)
    return wider.eval()


def _instead(folder: Path) -> str:
    if any(folder.glob("pytorch_model*.bin")):
        return "its pytorch_model.bin is a pickle, which may run any program when it is read: save it as safetensors"
    return "give a folder with safetensors weights"


def _check(model: Model, values: Mapping[str, Tensor], folder: Path) -> None:
    """Raises UnsupportedError for weights that our model has no place for, DataError for those that are missing."""
    own = model.state_dict()
    for name in sorted(values.keys() - own.keys()):
        raise UnsupportedError(f"{folder}: the weights hold {name!r}, which our {model.config.name} does not have")
    for name in sorted(own.keys() - values.keys()):
        raise DataError(f"{folder}: the weights lack {name!r}; the folder is not whole, fetch it again")
    for name, value in values.items():
        if value.shape != own[name].shape:
            raise UnsupportedError(
                f"{folder}: {name!r} is {tuple(value.shape)}, and config.json makes our {model.config.name}'s "
                f"{tuple(own[name].shape)}"
            )
