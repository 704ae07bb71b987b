"""What safety costs: seconds of training with a checkpoint every 100 steps, and with determinism, over those without.

    python bench/safety.py [--shape quick|10m] [--steps 300] [--rounds 5] [--every 100]

Each round trains the same model on the same random tokens in a process of its own: plainly, saved every `--every` steps
(copied between two steps, written to disk behind), and with `deterministic=true`. Prints milliseconds a step, the
median of the rounds, and the ratio to the plain one of the same round; a save that outlasts the training is waited for
and counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

SHAPES: dict[str, dict[str, Any]] = {
    "quick": {
        "model": {"name": "qwen3", "layers": 3, "dim": 128, "heads": 2, "length": 256}, "vocab": 2048, "rows": 16,
    },
    "10m": {
        "model": {"name": "qwen3", "layers": 6, "dim": 384, "heads": 6, "length": 256}, "vocab": 8192, "rows": 32,
    },
}  # fmt: skip
WAYS = ("plain", "saved", "deterministic")
WARM = 20
"""Steps before the clock starts."""


def one(way: str, shape: str, steps: int, every: int) -> dict[str, float]:
    """Train once in this process: seconds a step, and how large and how many the checkpoints were."""
    from groundup.cli._work import begin_process

    begin_process()

    from bench.feeds import RandomTokens
    from groundup.config import Folder
    from groundup.train.drive import drive
    from groundup.train.objectives.likelihood import Likelihood
    from groundup.train.precision import Precision, repeat_to_the_bit
    from groundup.train.saving import Keep
    from groundup.train.schedule import Cosine
    from groundup.train.trainer import Trainer

    if way == "deterministic":
        repeat_to_the_bit()
    given = SHAPES[shape]
    config: Any = Folder("models").read(given["model"])
    optimizer: Any = Folder("optim").read("muon")
    model = config.build(given["vocab"])
    built = optimizer.build(model, model.roles())
    feed = RandomTokens(given["vocab"], given["rows"], config.length)
    trainer = Trainer(
        model,
        feed,
        Likelihood(),
        built,
        Cosine(WARM + steps, warmup=1),
        precision=Precision("bf16", "cpu"),
    )
    begun: list[float] = []

    def passed() -> dict[str, float]:
        if trainer.done == WARM:
            begun.append(time.perf_counter())
        return {}

    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        keep = Keep(Path(folder), seconds=float("inf"), steps=every if way == "saved" else None)
        drive(trainer, stage="bench", keep=keep, peak=0.01, note=lambda **entry: None, extra=passed)
        seconds = time.perf_counter() - begun[0]
        held = [file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()]
    return {"step": seconds / steps, "megabytes": sum(held) / 1e6}


def main() -> None:
    """All ways in turn, round after round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="10m")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=100, help="steps from one checkpoint to the next")
    parser.add_argument("--only", choices=WAYS, help="one way, in this process, as JSON")
    args = parser.parse_args()
    if args.only:
        print(json.dumps(one(args.only, args.shape, args.steps, args.every)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
        for way in WAYS:
            words = [__file__, "--only", way, "--shape", args.shape, "--steps", args.steps, "--every", args.every]
            command = [sys.executable, *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    kept = found["saved"][0]["megabytes"]
    print(f"{args.shape}: {args.steps} steps, {args.rounds} rounds, {kept:.0f} MB on the disk at the end")
    for way in WAYS:
        steps = [each["step"] for each in found[way]]
        ratios = sorted(step / plain["step"] for step, plain in zip(steps, found["plain"], strict=True))
        spread = f"{statistics.median(ratios):.4f}x  ({ratios[0]:.4f} to {ratios[-1]:.4f})"
        print(f"  {way:<14} {1e3 * statistics.median(steps):8.2f} ms a step   {spread}")


if __name__ == "__main__":
    main()
