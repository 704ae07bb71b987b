"""An adapter as a folder in PEFT's layout, out and in: `adapter_config.json` and `adapter_model.safetensors`.

PEFT names weights as transformers does, behind `base_model.model.`; `prefix` is what transformers puts before our names
(`model.` for Llama and its kin).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.errors import DataError, UnsupportedError
from groundup.layers.lora import DEFAULT, Adapter, Lora, adapt, adapted

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
WRAPPING = "base_model.model."
PARTS = {"lora_A.weight": "lora_A", "lora_B.weight": "lora_B", "lora_magnitude_vector": "magnitude"}
MEANT: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "modules_to_save": (None, []),
    "layer_replication": (None, []),
    "alpha_pattern": (None, {}),
    "use_rslora": (None, False),
    "lora_bias": (None, False),
    "trainable_token_indices": (None, [], {}),
}
"""Fields of PEFT's config under which its adapter is one of ours: the values they may have, if they are there."""


def save_adapter(model: nn.Module, folder: Path, name: str = DEFAULT, prefix: str = "model.") -> Path:
    """Write an adapter; the folder. Raises DataError for an adapter that the model has not got."""
    held = {path: module.adapters[name] for path, module in adapted(model) if name in module.adapters}
    if not held:
        raise DataError(f"{folder}: the model has no adapter {name!r} to save")
    tensors: dict[str, Tensor] = {}
    for path, adapter in held.items():
        for theirs, ours in PARTS.items():
            value = getattr(adapter, ours)
            if value is not None:
                tensors[f"{WRAPPING}{prefix}{path}.{theirs}"] = value.detach().float().cpu().contiguous()
    adapter = next(iter(held.values()))
    assert isinstance(adapter, Adapter)
    shape = adapter.shape
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "lora_dropout": shape.dropout,
        "use_dora": shape.dora,
        "bias": "none",
        "inference_mode": True,
        "target_modules": _shortest(model, sorted(held), prefix),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def load_adapter(model: nn.Module, folder: Path, name: str = DEFAULT, prefix: str = "model.") -> Lora:
    """Lay an adapter of a folder on the model, under `name`, and use it; its shape.

    Raises DataError where the folder cannot be read or is another model's, UnsupportedError for what ours cannot hold.
    """
    config = _config(folder / CONFIG)
    values = _parts(folder / WEIGHTS, prefix)
    modules = {path: module for path, module in model.named_modules() if path in values}
    for path in sorted(values):
        weight = getattr(modules.get(path), "weight", None)
        down, up = (values[path].get(part) for part in ("lora_A", "lora_B"))
        if down is None or up is None:
            raise DataError(f"{folder}: {path} has not both of A and B; the file is damaged")
        if weight is None or tuple(weight.shape) != (up.shape[0], down.shape[1]) or len(up.T) != len(down):
            raise DataError(
                f"{folder}: the adapter changes {path!r}, which is not so in this model; load its own model"
            )
    ranks = {len(parts["lora_A"]) for parts in values.values()}
    if len(ranks) != 1:
        raise UnsupportedError(f"{folder}: ranks differ from matrix to matrix ({sorted(ranks)}); one rank is supported")
    shape = Lora(
        rank=ranks.pop(),
        alpha=float(config.get("lora_alpha", 8)),
        targets=tuple(sorted(values)),
        dropout=float(config.get("lora_dropout") or 0.0),
        dora=bool(config.get("use_dora")),
    )
    adapt(model, shape, name)
    with torch.no_grad():
        for path, module in adapted(model):
            for part, value in values.get(path, {}).items():
                getattr(module.adapters[name], part).copy_(value)
    return shape


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as the description of an adapter ({error})") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise UnsupportedError(f"{path}: not an adapter of the type LORA; only LoRA and DoRA are read")
    for field, allowed in MEANT.items():
        if config.get(field, allowed[0]) not in allowed:
            raise UnsupportedError(f"{path}: {field} is {config[field]!r}; only {allowed[0]!r} is read")
    return config


def _parts(path: Path, prefix: str) -> dict[str, dict[str, Tensor]]:
    """Matrix -> part -> values."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read as the weights of an adapter ({error})") from None
    values: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        inner = name.removeprefix(WRAPPING).removeprefix(prefix)
        theirs = next((part for part in PARTS if inner.endswith(f".{part}")), None)
        if theirs is None or not name.startswith(WRAPPING):
            raise UnsupportedError(f"{path}: {name!r} is no part of a LoRA or DoRA")
        values.setdefault(inner.removesuffix(f".{theirs}"), {})[PARTS[theirs]] = value
    if not values:
        raise DataError(f"{path}: holds no weights")
    return values


def _shortest(model: nn.Module, paths: list[str], prefix: str) -> list[str]:
    """The last parts of the names where these stand for the same matrices, else the names in full."""
    lasts = {path.rpartition(".")[2] for path in paths}
    covered = {path for path, _ in model.named_modules() if path.rpartition(".")[2] in lasts}
    return sorted(lasts) if covered == set(paths) else [f"{prefix}{path}" for path in paths]
