"""A model as transformers writes it down, and back: config and names of weights, by the tables of `models/`."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.config import Folder, leaves
from groundup.errors import DataError, UnsupportedError, nearest
from groundup.models._base import Model, ModelConfig, Stock

HEAD = "lm_head.weight"
ROPE = ("rope_scaling", "rope_parameters")
"""Where transformers keeps what is done to the rotary angles; what is unknown there must not be passed over."""
_EXPERT = re.compile(r"(.+\.experts)\.(\d+)\.(\w+)\.weight")
NOTHING_DONE: Mapping[str, Any] = {
    "rope_scaling.type": "default",
    "rope_scaling.rope_type": "default",
    "rope_parameters.partial_rotary_factor": 1.0,
}


def stock_of(model: Model) -> Stock:
    """The table of a model that has a form in transformers."""
    assert model.stock is not None, f"{type(model).__name__} names a class of transformers and has no table for it"
    return model.stock


def config_out(model: Model) -> dict[str, Any]:
    """The fields of `config.json` that say what the model computes."""
    stock, config = stock_of(model), model.config.explicit()
    tree: dict[str, Any] = {"model_type": stock.model_type, "vocab_size": model.vocab_size}
    for field, own in stock.fields.items():
        _put(tree, field, getattr(config, own))
    for field, values in stock.fixed.items():
        if field != "layer_types":
            _put(tree, field, values[0])
    return tree


def weights_out(model: Model, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights under transformers' names, contiguous, in `dtype`; a tied head is left out, as it does."""
    stock = stock_of(model)
    found = {}
    for name, weight in model.state_dict().items():
        turned = any(fnmatchcase(name, pattern) for pattern in stock.turned)
        value = (weight.t() if turned else weight).to(dtype)
        if any(fnmatchcase(name, pattern) for pattern in stock.grouped):
            group, _, last = name.rpartition(".")
            for number, matrix in enumerate(value):
                found[f"{stock.prefix}{group}.{number}.{last}.weight"] = matrix.contiguous()
        else:
            found[name if name == HEAD else stock.prefix + name] = value.contiguous()
    return found


def architectures() -> dict[str, type[ModelConfig]]:
    """Class of transformers -> our config, for every model of the house that has one."""
    folder = Folder("models")
    kinds = [folder.find(name) for name in folder.choices()]
    found = {}
    for kind in kinds:
        assert issubclass(kind, ModelConfig)
        with torch.device("meta"):
            model = kind().module(1)
        if "huggingface" in model.exports:
            found[model.exports["huggingface"]] = kind
    return found


def config_in(tree: Mapping[str, Any], path: Path, length: int | None = None) -> tuple[ModelConfig, int]:
    """Our config for a `config.json`, and the size of the vocabulary; `length` shortens the context.

    Raises UnsupportedError, naming the field, for what our model of that name does not compute, and DataError for a
    field that is missing.
    """
    known = architectures()
    names = tree.get("architectures") or []
    kind = next((known[name] for name in names if name in known), None)
    if kind is None:
        asked = names[0] if names else str(tree.get("model_type"))
        raise UnsupportedError(f"{path}: architectures={asked}: there is no such model here; {nearest(asked, known)}")
    with torch.device("meta"):
        stock = stock_of(kind().module(1))
    flat = _flat(tree)
    _refuse(stock, flat, path)
    fields = _fields(stock, flat, path)
    theirs = fields.get("length")
    if length is not None and theirs is not None:
        if length > theirs:
            raise DataError(f"{path}: its context is {theirs} tokens; --length {length} is longer than it was made for")
        fields["length"] = length
    V = flat.get("vocab_size")
    if not isinstance(V, int):
        raise DataError(f"{path}: vocab_size is {V!r}; the file is not whole, fetch it again")
    return kind.from_tree({key: value for key, value in fields.items() if value is not None}), V


def weights_in(stock: Stock, tensors: Mapping[str, Tensor], tied: bool, path: Path) -> dict[str, Tensor]:
    """Weights under our names, in float32.

    Raises DataError for a tied head that is not the embedding, and for experts of which one is missing.
    """
    found = {}
    for name, value in tensors.items():
        own = name.removeprefix(stock.prefix)
        if any(fnmatchcase(own, pattern) for pattern in stock.ignored):
            continue
        turned = any(fnmatchcase(own, pattern) for pattern in stock.turned)
        found[own] = (value.t() if turned else value).float().contiguous()
    if tied and HEAD in found:
        head = found.pop(HEAD)
        if not any(value.shape == head.shape and value.equal(head) for value in found.values()):
            raise DataError(f"{path}: tie_word_embeddings is true and {HEAD} is not the embedding; correct one of them")
    return _grouped(found, path) if stock.grouped else found


def _grouped(found: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The matrices of experts that the file holds apart, together. Raises DataError where one is missing."""
    whole = {name: value for name, value in found.items() if not _EXPERT.fullmatch(name)}
    apart: dict[str, dict[int, Tensor]] = {}
    for name, value in found.items():
        if match := _EXPERT.fullmatch(name):
            apart.setdefault(f"{match[1]}.{match[3]}", {})[int(match[2])] = value
    for name, matrices in apart.items():
        if sorted(matrices) != list(range(len(matrices))) or len({value.shape for value in matrices.values()}) > 1:
            raise DataError(
                f"{path}: the experts of {name!r} are not all there; the folder is not whole, fetch it again"
            )
        whole[name] = torch.stack([matrices[number] for number in range(len(matrices))])
    return whole


def _refuse(stock: Stock, flat: Mapping[str, Any], path: Path) -> None:
    """Raises UnsupportedError for a field whose value our model does not have."""
    for field, values in stock.fixed.items():
        value = flat.get(field, stock.defaults.get(field))
        items = value if isinstance(value, list) else [value]
        if value is not None and any(item not in values for item in items):
            raise UnsupportedError(f"{path}: {field}={value!r}: our {stock.model_type} has {values[0]!r} only")
    for field, value in flat.items():
        known = field in stock.fields or field in stock.fixed
        if re.match(rf"({'|'.join(ROPE)})\b", field) and not known and value is not None:
            raise UnsupportedError(f"{path}: {field}={value!r}: our {stock.model_type} does not scale rotary positions")


def _fields(stock: Stock, flat: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Our fields by name. Raises DataError where one is missing, and UnsupportedError where two that are one differ."""
    said: dict[str, tuple[str, Any]] = {}
    for field, own in stock.fields.items():
        if field not in flat:
            continue
        value = flat[field]
        if own in said and said[own][1] != value:
            other, before = said[own]
            raise UnsupportedError(f"{path}: {other}={before!r} and {field}={value!r}: ours are one setting, {own}")
        said[own] = (field, value)
    for field, own in stock.fields.items():
        if own not in said:
            if field not in stock.defaults:
                raise DataError(f"{path}: {field} is missing; the file is not whole, fetch it again")
            said[own] = (field, stock.defaults[field])
    return {own: value for own, (_, value) in said.items()}


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The config with nested tables dotted, without what says that nothing is done to the rotary angles."""
    return {field: value for field, value in leaves(tree).items() if NOTHING_DONE.get(field, ...) != value}


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[last] = value
