"""Peak memory of training, measured and by formula: eight settings, each in a process of its own.

    python bench/memory.py [--only NAME] [--json FILE]

Measured is the largest resident size of the process (on a GPU: the largest that was allocated) less what it was before
the model was made, over three steps on random tokens; the formula is `plan/memory.py`. A line each: both in MB, and
predicted over measured. Exits with 1 where one is further off than 15 %.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 0.15

SETTINGS: dict[str, dict[str, Any]] = {
    "qwen3 bf16 muon": {"model": {"name": "qwen3", "layers": 6, "dim": 384, "heads": 6, "length": 256}, "rows": 32},
    "qwen3 fp32 adamw": {
        "model": {"name": "qwen3", "layers": 6, "dim": 256, "heads": 4, "length": 256},
        "rows": 16, "precision": "fp32", "optimizer": "adamw",
    },
    "gpt2 bf16 adamw": {
        "model": {"name": "gpt2", "layers": 8, "dim": 384, "heads": 6, "length": 512}, "rows": 16, "optimizer": "adamw",
    },
    "llama long rows": {
        "model": {"name": "llama", "layers": 6, "dim": 384, "heads": 6, "kv_heads": 2, "length": 2048}, "rows": 4,
    },
    "wide vocabulary": {
        "model": {"name": "qwen3", "layers": 4, "dim": 256, "heads": 4, "length": 256},
        "rows": 32, "vocab_size": 32768,
    },
    "many weights, few rows, two micros": {
        "model": {"name": "qwen3", "layers": 8, "dim": 768, "heads": 12, "length": 256}, "rows": 2, "accumulate": 2,
    },
    "moe bf16 muon": {
        "model": {"name": "moe", "layers": 4, "dim": 384, "heads": 6, "length": 256, "experts": 8}, "rows": 16,
    },
    "qwen3 recompute full": {
        "model": {"name": "qwen3", "layers": 8, "dim": 512, "heads": 8, "length": 512}, "rows": 16, "recompute": "full",
    },
}  # fmt: skip


def defaults(setting: dict[str, Any]) -> dict[str, Any]:
    """A setting with what it does not say."""
    common = {"precision": "bf16", "optimizer": "muon", "vocab_size": 8192, "accumulate": 1, "recompute": "none"}
    return {**common, **setting}


def one(name: str, steps: int = 3) -> dict[str, Any]:
    """Train the setting for a few steps in this process: measured and predicted bytes."""
    from groundup.cli._work import begin_process

    begin_process()
    import torch

    from bench.feeds import RandomTokens
    from groundup.config import Folder
    from groundup.mesh import Mesh
    from groundup.parallel.layout import spread
    from groundup.parallel.settings import Parallel
    from groundup.plan.machine import pick_device
    from groundup.plan.memory import footprint
    from groundup.train.objectives.likelihood import Likelihood
    from groundup.train.precision import Precision
    from groundup.train.schedule import Cosine
    from groundup.train.trainer import Trainer, backward

    given, device = defaults(SETTINGS[name]), pick_device()
    config: Any = Folder("models").read(given["model"])
    optimizer: Any = Folder("optim").read(given["optimizer"])

    warm = torch.ones(64, 64, device=device, requires_grad=True)
    (warm @ warm).sum().backward()  # what the first product loads is not the model's
    before = resident()
    model = config.build(given["vocab_size"]).to(device)
    split = spread(model, Parallel(recompute=given["recompute"]), Mesh(), backward)
    feed = RandomTokens(given["vocab_size"], given["rows"], config.length)
    trainer = Trainer(
        split.model, feed, Likelihood(), optimizer.build(model, model.roles()), Cosine(steps, warmup=1),
        precision=Precision(given["precision"], device), accumulate=given["accumulate"], backward=split.backward,
    )  # fmt: skip
    for _ in trainer.run():
        pass
    measured = torch.cuda.max_memory_allocated() if device == "cuda" else peak() - before
    keys = ("precision", "optimizer")
    predicted = footprint(
        config, given["vocab_size"], given["rows"], *(given[key] for key in keys),
        recompute=given["recompute"], accumulate=given["accumulate"], device=device,
    )  # fmt: skip
    return {"name": name, "measured": measured, "predicted": predicted.taken(device), "parts": vars(predicted)}


def resident() -> int:
    """Bytes of this process now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak() -> int:
    """The most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    """Every setting, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SETTINGS, help="one setting, in this process, as JSON")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    args = parser.parse_args()
    if args.only:
        print(json.dumps(one(args.only)))
        return 0
    found = []
    print(f"{'setting':<36}{'measured MB':>12}{'predicted MB':>14}{'predicted / measured':>22}")
    for name in SETTINGS:
        command = [sys.executable, __file__, "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        row = json.loads(done.stdout.splitlines()[-1])
        found.append(row)
        ratio = row["predicted"] / row["measured"]
        print(f"{name:<36}{row['measured'] / 1e6:>12,.0f}{row['predicted'] / 1e6:>14,.0f}{ratio:>22.3f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(abs(row["predicted"] / row["measured"] - 1) > TOLERANCE for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
