"""Arithmetic over seeds: SFT, SFT's pass@8, GRPO, and the same seconds spent on more SFT instead.

    python bench/arithmetic.py RUN [--runs DIR] [--seeds 1 2 3] [--controls 1]

RUN is a finished timed run; its pretrained model is shared by all arms, and GRPO gets the seconds that it had there.
Each seed changes the order and the draws of SFT and GRPO. The 500 problems are the held-out ones of
`tasks/arithmetic.py`, the same for every seed and in neither stage. Prints a line a seed, and the medians.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from groundup.stages.training import MOST
from groundup.store import Store


def main() -> None:
    """Run both arms for every seed and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--controls", type=int, default=1, help="seeds for which more SFT is tried too")
    args = parser.parse_args()
    run = Store.open(args.runs, args.run)
    minutes = json.loads((run.root / "forecast.json").read_text(encoding="utf-8"))["recipe"]["minutes"]
    grpo_share = run.facts()["grpo"]["seconds"] / (60 * minutes * MOST["grpo"])
    print(f"{'seed':>4} {'SFT':>7} {'pass@8':>7} {'GRPO':>7} {'95 % interval':>16} {'errors cut':>10} {'more SFT':>9}")
    rows = []
    for seed in args.seeds:
        grpo = arm(args.runs, args.run, f"sft.seed={seed}", f"grpo.seed={seed}", f"grpo.share={grpo_share:.4f}")
        task, more_sft = grpo["eval"]["tasks"]["arithmetic"], None
        if len(rows) < args.controls:
            share = (grpo["sft"]["seconds"] + grpo["grpo"]["seconds"]) / 60 / minutes
            longer = (f"sft.share={share:.4f}", "sft.patience=1000000", "grpo.steps=1")
            control = arm(args.runs, args.run, f"sft.seed={seed}", *longer)
            more_sft = control["eval"]["tasks"]["arithmetic"]["before"]["score"]
        row = {
            "seed": seed,
            "sft": task["before"]["score"],
            "pass_at_8": task["before"]["pass_at_8"]["value"],
            "grpo": task["score"],
            "low": task["low"],
            "high": task["high"],
            "errors_cut": task.get("errors_cut", {}).get("value", 0.0),
            "more_sft": more_sft,
        }
        rows.append(row)
        print_row(str(seed), row)
    columns = {key: [row[key] for row in rows if row[key] is not None] for key in rows[0]}
    print_row("med", {key: median(values) if values else None for key, values in columns.items()})
    json.dump(rows, sys.stderr)


def print_row(name: str, row: dict[str, Any]) -> None:
    """One line of the table."""
    interval = f"{row['low']:.1%} to {row['high']:.1%}"
    print(
        f"{name:>4} {row['sft']:>7.1%} {row['pass_at_8']:>7.1%} {row['grpo']:>7.1%} {interval:>16} "
        f"{row['errors_cut']:>10.1%} {'-' if row['more_sft'] is None else format(row['more_sft'], '.1%'):>9}",
        flush=True,
    )


def arm(runs: Path, run: str, *settings: str) -> dict[str, Any]:
    """The facts of a copy of the run with other settings for SFT and GRPO; everything else is measured no further."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(runs / run, Path(folder) / run)
        extra = ("eval.passages=0", "eval.functions=0", "eval.yardsticks=false")
        command = [
            sys.executable,
            "-m",
            "groundup",
            "run",
            run,
            "--runs",
            folder,
            "--json",
            "--quiet",
            *settings,
            *extra,
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        facts: dict[str, Any] = json.loads(done.stdout)["facts"]
        return facts


if __name__ == "__main__":
    main()
