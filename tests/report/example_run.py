"""A run as the store leaves it, with the figures of a real one, for the tests of the report."""

import json
from math import cos, exp, pi
from pathlib import Path
from random import Random
from typing import Any

from groundup.store import Store

RECIPE = """seed = 1
minutes = 10.0
precision = "bf16"

[data]
text = ["python", "~/notes/=2.5"]

[model]
name = "qwen3"
layers = 6
dim = 256

[train]
rows = 32
warmup = 40

[train.optim]
name = "muon"
lr = 0.02
"""
ORIGINS = {
    "minutes": "command line", "precision": "planner", "data.text": "command line", "model.layers": "planner",
    "model.dim": "planner", "train.rows": "planner", "train.optim.lr": "recipe.toml",
}  # fmt: skip
FACTS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("example_facts.json").read_text(encoding="utf-8")
)
SECONDS = {"corpus": 9.4, "tokenizer": 2.1, "tokens": 1.6, "pretrain": 381.0, "sft": 74.2, "grpo": 88.9, "eval": 39.7}
NEEDS = {
    "tokenizer": ["corpus"], "tokens": ["corpus", "tokenizer"], "pretrain": ["tokenizer", "tokens"],
    "sft": ["corpus", "tokenizer", "pretrain"], "grpo": ["tokenizer", "pretrain", "sft"],
    "eval": ["corpus", "tokenizer", "pretrain", "sft", "grpo"],
}  # fmt: skip


def build(runs: Path, name: str, stages: list[str]) -> Path:
    """A run that has made `stages`, in a folder of runs."""
    store = Store.create(runs, name)
    store.write_text("recipe.toml", RECIPE)
    store.write_json("origins.json", ORIGINS)
    for stage in stages:
        parents = [print_of(need) for need in NEEDS.get(stage, [])]
        with store.publish(stage, print_of(stage), parents, {}) as draft:
            draft.facts |= FACTS[stage]
            draft.seconds = SECONDS[stage]
            (draft.path / "data.bin").write_bytes(b"\0" * 1000)
    write_metrics(store.root / "metrics")
    return store.root


def print_of(stage: str) -> str:
    """A fingerprint for a stage."""
    return stage.encode().hex().ljust(16, "0")[:16]


def write_metrics(folder: Path) -> None:
    """The numbers of each step, noisy as they are."""
    folder.mkdir(exist_ok=True)
    noise = Random(0)
    rows: dict[str, list[dict[str, Any]]] = {"pretrain": [], "sft": [], "sft_probe": [], "grpo": []}
    for step in range(1, 901):
        row = {
            "step": step, "loss": 2.1 + 6.2 * exp(-step / 45) + 1.1 * exp(-step / 400) + noise.gauss(0, 0.06),
            "lr": 0.02 * min(1.0, step / 40) * (1.0 if step < 450 else (900 - step) / 450),
            "tokens_per_second": 19_400 + noise.gauss(0, 500) - (6000 if 300 < step < 330 else 0),
            "grad_norm": 0.4 + 2 * exp(-step / 30) + abs(noise.gauss(0, 0.05)),
        }  # fmt: skip
        rows["pretrain"].append(row)
    for step in range(1, 241):
        row = {"step": step, "loss": 0.8 + 1.6 * exp(-step / 30) + noise.gauss(0, 0.08)}
        rows["sft"].append(row)
        if step % 40 == 0:
            rows["sft_probe"].append({"step": step, "value": 0.86 + 1.5 * exp(-step / 35)})
    for step in range(1, 61):
        rows["grpo"].append({"step": step, "reward": 0.83 - 0.13 * cos(pi * step / 60) + noise.gauss(0, 0.015)})
    texts = ["e, t ,e(se = o", "self.self = self.self(self", "return self._name, None\n        if not name:"]
    rows["samples"] = [
        {"stage": "pretrain", "step": 100 * at, "prompt": "def read(self, size):", "text": f"\n        {text}"}
        for at, text in enumerate([*texts, texts[2] + "\n            raise ValueError(name)"] * 2, start=1)
    ]
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
