"""measure a run's model again and make its report anew, or put published benchmarks to it

Without --tasks, --text or --safety the run's own measurements are made again; settings may be changed for that, and
stay with the run. With --tasks, published benchmarks are put to the model, and what they find is kept in the run and
shown in its report. Names are sets (small, core, all) or benchmarks; docs/evaluate.md tells what each is.

  groundup eval mine
  groundup eval mine eval.functions=128
  groundup eval mine --tasks small --tasks-data ~/benchmarks
  groundup eval mine --tasks mmlu,arc_easy --shots 5 --limit 500 --stage pretrain
  groundup eval mine --tasks hellaswag --harness lm-eval --harness-python ~/lm-eval/bin/python
  groundup eval mine --safety                            recited training text, personal data, foul words
  groundup eval mine --text 'notes/*.md'                 bits per byte of any text
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.cli import print_json

PYTHON = "GROUNDUP_LMEVAL_PYTHON"

if TYPE_CHECKING:
    from groundup.eval.judged import Judge
    from groundup.recipe import Recipe
    from groundup.store import Store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("words", nargs="*", metavar="eval.FIELD=VALUE", help="settings of the run's own measurements")
    parser.add_argument("--tasks", metavar="NAME,...", help="published benchmarks: small, core, all, or their names")
    parser.add_argument(
        "--tasks-data", action="append", type=Path, metavar="DIR", help="folder of their records (else from the hub)"
    )
    parser.add_argument("--hub", metavar="ADDRESS", help="the hub's address (else that of huggingface_hub)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N items of each, drawn with --seed")
    parser.add_argument("--shots", type=int, metavar="N", help="solved examples before each question")
    parser.add_argument("--seed", type=int, default=0, help="of the items that --limit draws, and of samples")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="written answers to each question: pass@k")
    parser.add_argument("--stage", metavar="STAGE", help="whose weights (else the last that is done)")
    parser.add_argument(
        "--contaminated",
        metavar="corpus|FILE",
        help='tell items apart that the training text holds: look there, or JSONL of {"task", "id"}',
    )
    parser.add_argument("--judge", metavar="ADDRESS", help="an OpenAI endpoint, http://.../v1, that rates mt_bench")
    parser.add_argument("--judge-model", default="judge", metavar="NAME", help="the judge's name there")
    parser.add_argument("--judge-key-file", type=Path, metavar="FILE", help="a text file with the key that it asks for")
    parser.add_argument("--harness", choices=("lm-eval",), help="run these --tasks in EleutherAI's harness instead")
    parser.add_argument(
        "--harness-python", type=Path, metavar="FILE", help=f"python of an environment with it (else ${PYTHON})"
    )
    parser.add_argument(
        "--include", action="append", type=Path, metavar="DIR", help="folder of the harness's own task files"
    )
    parser.add_argument("--text", action="append", metavar="PATH", help="bits per byte of this text, nothing else")
    parser.add_argument(
        "--safety", action="store_true", help="what it recites of its training text, personal data, foul words"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Measure. Raises ConfigError for a setting that does not go with what is asked."""
    from groundup.errors import ConfigError

    if not (args.tasks or args.text or args.safety or args.harness):
        return _again(args)
    if args.words:
        raise ConfigError(f"{args.words[0]!r}: settings are for the run's own measurements; leave --tasks or it out")
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: use 1 or more, or leave it out for all")
    if args.harness:
        return _harness(args)
    if args.samples < 1:
        raise ConfigError(f"--samples {args.samples}: use 1 (greedy) or more (drawn)")
    if args.safety:
        return _safety(args)
    return _texts(args) if args.text else _benchmarks(args)


def _again(args: argparse.Namespace) -> int:
    """Drop the last measurement and make it again.

    Raises ConfigError for a setting outside `eval`, and StoreError for a run without a finished model.
    """
    from groundup.cli.run import run as make
    from groundup.config import merge, parse_pairs, read_toml
    from groundup.errors import ConfigError, StoreError
    from groundup.recipe import Recipe
    from groundup.store import Store

    wrong = [word for word in args.words if not word.startswith("eval.")]
    if wrong:
        raise ConfigError(f"{wrong[0]!r}: eval takes eval.FIELD=VALUE only; `groundup run {args.name}` takes the rest")
    store = Store.open(args.runs, args.name)
    adapted = "adapt" in read_toml(store.root / "recipe.toml")
    needed = ("adapt",) if adapted else ("pretrain", "sft", "grpo")
    missing = [stage for stage in needed if stage not in store.current()]
    if missing:
        raise StoreError(f"run {args.name!r} has no {missing[0]} yet; `groundup run {args.name}` goes on")
    Recipe.from_tree(merge(read_toml(store.root / "recipe.toml"), parse_pairs(args.words)))  # before anything goes
    with store.locked():
        for kind in ("eval", "report"):
            for artifact in store.all(kind):
                shutil.rmtree(artifact.path)
    return make(
        argparse.Namespace(
            words=[args.name, *args.words], runs=args.runs, json=args.json, quiet=False,
            data=None, chat=None, minutes=None, name=None, price_per_hour=None,
        )
    )  # fmt: skip


def _benchmarks(args: argparse.Namespace) -> int:
    """Put published benchmarks to the model, and print what they found. Raises ConfigError."""
    from groundup.cli._screen import console, scores_table
    from groundup.errors import ConfigError
    from groundup.eval.published import centred
    from groundup.events import Events
    from groundup.stages.benchmarks import Exam, contaminated, measure, read_contaminated
    from groundup.stages.results import device_of
    from groundup.tasks.published._records import HubRecords, LocalRecords
    from groundup.tasks.published._sets import entries

    asked = entries(args.tasks, limit=args.limit, shots=args.shots)
    records = LocalRecords(tuple(args.tasks_data)) if args.tasks_data else HubRecords(args.hub)
    store, recipe = _open(args)
    screen = console(stderr=args.json)
    if args.contaminated == "corpus":
        if not isinstance(records, LocalRecords):
            raise ConfigError("--contaminated corpus looks for records of a local folder; add --tasks-data DIR")
        seen = contaminated(store, asked, records, Events(screen=screen))
    else:
        seen = read_contaminated(Path(args.contaminated)) if args.contaminated else {}
    with store.locked():
        exam = Exam(asked, records, args.seed, args.samples, _judge(args), seen)
        found = measure(store, recipe, args.stage, exam, device_of(store), Events(screen=screen))
        _renew_report(store)
    mean = centred(list(found.values()))
    if args.json:
        print_json({"run": store.name, "tasks": found, "centred": mean.facts() if mean else None})
        return 0
    screen.print(scores_table(found))
    if mean is not None and len(found) > 1:
        screen.print(f"  mean with chance at 0 and perfection at 1: {mean}", markup=False)
    return 0


def _judge(args: argparse.Namespace) -> "Judge | None":
    """The model that rates talks, where one is named. Raises ConfigError for an address or a key file that is none."""
    from groundup.errors import ConfigError
    from groundup.eval.judged import Judge

    if args.judge is None:
        return None
    if not args.judge.startswith(("http://", "https://")):
        raise ConfigError(f"--judge {args.judge!r}: give the address of an OpenAI endpoint, http://.../v1")
    if args.judge_key_file and not args.judge_key_file.is_file():
        raise ConfigError(f"{args.judge_key_file}: there is no such file; it holds the judge's key")
    key = args.judge_key_file.read_text(encoding="utf-8").strip() if args.judge_key_file else ""
    return Judge(args.judge, args.judge_model, key)


def _harness(args: argparse.Namespace) -> int:
    """Run EleutherAI's harness, in its own environment, on the model. Raises ConfigError where that is not named."""
    from groundup.cli._screen import console, facts_table
    from groundup.errors import ConfigError
    from groundup.eval.harness import Order
    from groundup.events import Events
    from groundup.stages.benchmarks import run_harness
    from groundup.stages.results import device_of

    python = args.harness_python or os.environ.get(PYTHON)
    if not args.tasks or not python:
        raise ConfigError(
            f"--harness needs --tasks, and the python of an environment with it: --harness-python FILE or ${PYTHON}"
        )
    store, recipe = _open(args)
    screen = console(stderr=args.json)
    order = Order(args.tasks.split(","), args.include or (), args.shots, args.limit)
    device, events = device_of(store), Events(screen=screen)
    found = run_harness(store, recipe, args.stage, Path(python), order, os.environ, device, events)
    if args.json:
        print_json({"run": store.name, **found})
    else:
        for task, facts in found["results"].items():
            screen.print(facts_table(task, {key: value for key, value in facts.items() if key != "alias"}))
    return 0


def _safety(args: argparse.Namespace) -> int:
    """What the model recites, tells and swears."""
    from groundup.cli._screen import console, facts_table
    from groundup.events import Events
    from groundup.stages.benchmarks import measure_safety
    from groundup.stages.results import device_of

    store, recipe = _open(args)
    screen = console(stderr=args.json)
    with store.locked():
        facts = measure_safety(store, recipe, args.stage, args.seed, device_of(store), Events(screen=screen))
        _renew_report(store)
    if args.json:
        print_json({"run": store.name, "safety": facts})
    else:
        screen.print(facts_table("safety", facts))
    return 0


def _texts(args: argparse.Namespace) -> int:
    """Bits per byte of a text, by the model alone."""
    from groundup.cli._screen import console, facts_table
    from groundup.events import Events
    from groundup.stages.benchmarks import measure_texts
    from groundup.stages.results import device_of

    store, recipe = _open(args)
    screen = console(stderr=args.json)
    facts = measure_texts(store, recipe, args.stage, args.text, device_of(store), Events(screen=screen))
    if args.json:
        print_json({"run": store.name, "text": args.text, **facts})
    else:
        screen.print(facts_table(f"bits per byte of {', '.join(args.text)}", facts))
    return 0


def _open(args: argparse.Namespace) -> "tuple[Store, Recipe]":
    """The run and its recipe, this machine set up to compute."""
    from groundup.config import read_toml
    from groundup.plan.machine import settle
    from groundup.recipe import Recipe
    from groundup.store import Store

    store = Store.open(args.runs, args.name)
    settle()
    return store, Recipe.from_tree(read_toml(store.root / "recipe.toml"))


def _renew_report(store: "Store") -> None:
    """The report shows what was found, where there is one already."""
    from groundup.report.page import write

    page = store.root / "report.html"
    if page.is_file():
        write(store.root, page)
