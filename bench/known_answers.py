"""Arithmetic learned from its answers alone, by `groundup finetune`: PPO and GRPO, no reward model.

    python bench/known_answers.py RUN [--runs DIR] [--stage sft] [--methods grpo ppo] [--minutes 3] [adapt.F=VALUE ...]

Writes problems of `tasks/arithmetic.py` that are not among its 500 held-out ones as conversations, and lets the model
of RUN's `--stage` answer them, rewarded where the last number is right. Prints the share of the held-out problems that
is right before and after (the likeliest token each time).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from groundup.cli._model import open_dialogue
from groundup.eval.generation import answer
from groundup.eval.interval import Interval
from groundup.plan.machine import settle
from groundup.store import Store
from groundup.tasks.arithmetic import Arithmetic

PROBLEMS = 12_000
MOST_TOKENS = 36


def examples(path: Path) -> None:
    """Write the problems, each with its demonstration."""
    task = Arithmetic()
    with path.open("w", encoding="utf-8") as file:
        for example in task.examples("train", PROBLEMS, 1):
            talk = [{"role": message.role, "content": message.content} for message in task.ask(example)]
            file.write(json.dumps({"messages": [*talk, {"role": "assistant", "content": task.answer(example)}]}) + "\n")


def right(runs: Path, name: str, stage: str | None) -> Interval:
    """The share of the held-out problems that a run's model gets right."""
    task = Arithmetic()
    asked = task.examples("held_out", 500, 1)
    return answer(task, asked, open_dialogue(runs, name, stage), max_tokens=MOST_TOKENS).score


def main() -> None:
    """Make the examples, train by each method, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("settings", nargs="*", metavar="adapt.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--stage", default="sft")
    parser.add_argument("--methods", nargs="+", default=["grpo", "ppo"])
    parser.add_argument("--minutes", type=float, default=3.0)
    args = parser.parse_intermixed_args()
    data = args.runs / "arithmetic.jsonl"
    examples(data)
    names = [f"{args.run}-arithmetic-{method}" for method in args.methods]
    for method, name in zip(args.methods, names, strict=True):
        command = [
            sys.executable, "-m", "groundup", "finetune", args.run, "--runs", str(args.runs), "--data", str(data),
            "--stage", args.stage, "--method", method, "--name", name, "--minutes", str(args.minutes),
            "adapt.answers=number", f"adapt.rollouts.max_tokens={MOST_TOKENS}", "adapt.rows=512", *args.settings,
        ]  # fmt: skip
        subprocess.run(command, check=True)
    settle()
    print(f"{args.run}, {args.stage}: {right(args.runs, args.run, args.stage)}")
    for method, name in zip(args.methods, names, strict=True):
        facts = Store.open(args.runs, name).facts()["adapt"]
        print(f"{method}: {right(args.runs, name, None)} after {facts['steps']} steps, {facts['seconds']:.0f} s")


if __name__ == "__main__":
    main()
