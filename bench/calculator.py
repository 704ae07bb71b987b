"""Arithmetic beyond a small model's reach: products of six digits, with the calculator and without it.

    python bench/calculator.py RUN [--runs DIR] [--name NAME] [--examples 6000] [--minutes 5] [adapt.FIELD=VALUE ...]

Writes examples of products (factors of one to six digits) whose answer is a call of the calculator, its result, and the
result said again; fine-tunes RUN on them with `groundup finetune`, and asks 500 products of two numbers of exactly six
digits that are in no example: the run before, the run after without the tool (its calls are not run), and with it. The
likeliest token is taken each time; only the exact product, said as the last word, is right.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from groundup.cli._model import open_dialogue
from groundup.corpus.conversation import Message, with_tools
from groundup.dialogue.assist import Assistant, open_tools
from groundup.eval.interval import wilson
from groundup.plan.machine import settle

ASKED = 500
MOST_TOKENS = 96
WAYS = ("What is {} * {}?", "{} * {} = ?", "Multiply {} by {}.", "How much is {} times {}?")
"""How a product is asked for. The exam asks in all of them too."""

Factors = tuple[int, int]


def factors(draw: Random, least: int = 1) -> Factors:
    """Two numbers of `least` to six digits."""
    one, other = (draw.randrange(10 ** (digits - 1), 10**digits) for digits in draw.choices(range(least, 7), k=2))
    return one, other


def examples(path: Path, n: int, exam: Sequence[Factors]) -> None:
    """Write `n` conversations, none of them of the exam; half have six digits in both factors."""
    draw, kept = Random(1), set(exam)
    (calculator,) = open_tools(["calculator"])
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            pair = factors(draw, least=6 if number % 2 else 1)
            while pair in kept:
                pair = factors(draw)
            call = {"name": "calculator", "arguments": json.dumps({"expression": f"{pair[0]} * {pair[1]}"})}
            answer = str(pair[0] * pair[1])
            talk = [
                {"role": "user", "content": draw.choice(WAYS).format(*pair)},
                {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": call}]},
                {"role": "tool", "content": answer},
                {"role": "assistant", "content": answer},
            ]
            file.write(json.dumps({"tools": [calculator.definition()], "messages": talk}) + "\n")


def right(runs: Path, name: str, exam: Sequence[Factors], tools: Sequence[str], stage: str | None = None) -> str:
    """The share of the exam that a run's model gets right, with its interval."""
    dialogue, given = open_dialogue(runs, name, stage), open_tools(tools)
    (calculator,) = open_tools(["calculator"])
    draw, talks = Random(2), []
    for pair in exam:
        asked = (Message("user", draw.choice(WAYS).format(*pair)),)
        talks.append(asked if stage else with_tools(asked, [calculator.definition()]))
    said = Assistant(dialogue, given, described=False).reply(talks, max_tokens=MOST_TOKENS, temperature=0.0)
    hits = sum(each[-1].content.strip() == str(one * other) for each, (one, other) in zip(said, exam, strict=True))
    return f"{100 * hits / len(exam):.1f} % {wilson(hits, len(exam))}"


def main() -> None:
    """Make the examples, train, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("settings", nargs="*", metavar="adapt.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--name", help="of the new run (else RUN-calculator)")
    parser.add_argument("--examples", type=int, default=6000)
    parser.add_argument("--minutes", type=float, help="for the fine-tuning (else three epochs)")
    args = parser.parse_intermixed_args()
    name = args.name or f"{args.run}-calculator"
    draw = Random(0)
    exam = [factors(draw, least=6) for _ in range(ASKED)]
    data = args.runs / f"{name}.jsonl"
    examples(data, args.examples, exam)
    command = [
        sys.executable, "-m", "groundup", "finetune", args.run, "--runs", str(args.runs), "--data", str(data),
        "--name", name, "adapt.answers=same", "adapt.tools=calculator", *args.settings,
        *(["--minutes", str(args.minutes)] if args.minutes else []),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    settle()
    print(f"{ASKED} products of six-digit numbers")
    print(f"  before             {right(args.runs, args.run, exam, (), stage='sft')}")
    print(f"  after, no tool     {right(args.runs, name, exam, ())}")
    print(f"  after, calculator  {right(args.runs, name, exam, ('calculator',))}")


if __name__ == "__main__":
    main()
