"""A finished run as the store leaves it, with the figures of a real one."""

import json
from math import cos, exp, pi
from pathlib import Path
from random import Random
from typing import Any

import pytest

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
FACTS: dict[str, dict[str, Any]] = {
    "corpus": {
        "documents": 612, "bytes": 7_876_311, "held_out_documents": 41, "held_out_bytes": 1_017_531,
        "removed": {"near_copy": 12, "too_short": 31, "repetition": 4},
        "sources": [{"label": "python", "spec": "python", "interpreter": "CPython 3.11.7", "source_bytes": 8_893_842,
                     "sha256": "5f0c" * 16}, {"label": "notes", "spec": "~/notes/=2.5"}],
    },
    "tokenizer": {"vocab_size": 4096, "bytes_per_token": 3.41, "gpt2_bytes_per_token": 2.18},
    "tokens": {"tokens": 2_310_445, "held_out_tokens": 298_400},
    "pretrain": {
        "steps": 900, "tokens": 7_372_800, "epochs": 3.19, "seconds": 381.0, "loss": 2.214, "mfu": 0.41,
        "tokens_per_second": 19_351.0, "parameters": 6_820_096, "device": "2 CPU cores",
    },
    "sft": {"steps": 240, "conversations": 8200, "held_out_loss": 0.871},
    "grpo": {"steps": 60, "reward_first": 0.693, "reward_last": 0.958},
    "eval": {
        "bits_per_byte": {"value": 1.214, "low": 1.168, "high": 1.262, "chance": 8.0, "bytes": 1_017_531},
        "yardsticks": {"xz": 1.505, "ppmd": 1.281, "ppmd_primed": 1.198},
        "yardstick_settings": {"ppmd_order": 16, "ppmd_memory_bytes": 512 << 20, "primed_bytes_at_most": 16 << 20},
        "tasks": {
            "arithmetic": {
                "about": "a ± b, operands 0 to 99 uniform, negative answers included.", "score": 0.946, "low": 0.9227,
                "high": 0.9626, "chance": None, "n": 500, "before": {"score": 0.702, "low": 0.6604, "high": 0.7404,
                                                  "pass_at_8": {"value": 0.93, "low": 0.904, "high": 0.949}},
                "errors_cut": {"value": 0.819, "low": 0.763, "high": 0.871},
                "ended": {"value": 0.998, "low": 0.989, "high": 1.0},
            },
            "origin": {
                "about": "Which of four documents is this passage from?", "score": 0.58, "low": 0.511, "high": 0.646,
                "chance": 0.25, "n": 200, "ended": {"value": 0.995, "low": 0.972, "high": 0.999},
            },
        },
        "functions": {
            "score": 0.463, "low": 0.420, "high": 0.506, "chance": None, "n": 512, "median_lines": 6,
            "real_median_lines": 9, "real": {"value": 0.961, "low": 0.94, "high": 0.974},
        },
        "samples": [
            {"task": "arithmetic", "prompt": "What is 43 - 68?", "reply": "68>43, 8-3=5, 6-4=2, so -25",
             "expected": "68>43, 8-3=5, 6-4=2, so -25", "score": 1.0},
            {"task": "arithmetic", "prompt": "57 + 68 = ?", "reply": "7+8=15, 1+5+6=12, so 115",
             "expected": "7+8=15, 1+5+6=12, so 125", "score": 0.0},
            {"task": "functions", "prompt": "def _find_prefix(self, name):",
             "reply": "    for prefix in self._prefixes:\n        if name.startswith(prefix):\n"
                      "            return prefix\n    return None\n"},
        ],
        "conversation": [
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "I am a small language model, built from the ground up from your own text."},
            {"role": "user", "content": "What does textwrap.dedent do?"},
            {"role": "assistant", "content": "Remove any common leading whitespace from every line in `text`."},
            {"role": "user", "content": "What is 17 - 42?"},
            {"role": "assistant", "content": "42>17, 12-7=5, 4-1-1=2, so -25"},
        ],
    },
}  # fmt: skip
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


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run whose stages are all done."""
    return build(tmp_path, "quick", list(FACTS))
