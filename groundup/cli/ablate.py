"""the same small model on variants of a setting: held-out bits per byte, over seeds, with intervals

A filter has one honest judge: a model that learns from what it leaves. Every variant is trained for the recipe's
`train.steps` (so on the same number of tokens) with every seed, and measured on the same held-out text, which the
variants must agree on: pin it with corpus.held_out.ids, or hold out what no variant changes. A difference to the first
variant is paired by seed, and marked * when its 95 % interval is clear of zero. Interrupted, the same command goes on.

words:
  RECIPE.toml           settings from a file; train.steps must be among them
  SECTION.FIELD=V       one setting for all variants

  groundup ablate small.toml --data dirty/ --vary corpus.filters.quality=off,on
  groundup ablate small.toml --data web/ --vary corpus.filters=clean,default,web --seeds 1 2 3
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from groundup.cli import print_json

FILTERS = "corpus.filters"
# Only pretraining is compared.
SKIPPED = ("sft.steps=0", "grpo.steps=0", "eval.arithmetic=0", "eval.passages=0", "eval.functions=0",
           "eval.yardsticks=false")  # fmt: skip
Variant = tuple[str, tuple[str, ...]]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("words", nargs="+", metavar="WORD", help="a recipe file, SECTION.FIELD=VALUE")
    parser.add_argument("--data", action="append", default=[], metavar="PATH[=WEIGHT]", help="text, as for run")
    parser.add_argument(
        "--vary", action="append", required=True, metavar="FIELD=V,V", help="what differs; the first is compared with"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--name", default="ablate", help="the runs are called NAME-VARIANT-SEED")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Train and measure every variant with every seed. Raises ConfigError for a single seed."""
    from groundup.cli._screen import console
    from groundup.errors import ConfigError

    if len(set(args.seeds)) < 2:
        raise ConfigError(f"--seeds {args.seeds[0]}: one seed says nothing of chance; give two or more")
    tree = _recipe(args.words)
    found: dict[str, list[dict[str, Any]]] = {}
    screen = console(stderr=True)
    for label, settings in variants(args.vary, tree):
        for seed in args.seeds:
            screen.print(f"{label}, seed {seed}", markup=False)
            found.setdefault(label, []).append(_facts(args, label, settings, seed))
    rows = compared(found)
    if args.json:
        print_json(rows)
    else:
        for row in rows:
            mark = "*" if row["certain"] else " "
            behind = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" if row is not rows[0] else ""
            told = f"{mark} {row['variant']:<40} {row['bits_per_byte']:.4f} bits per byte   {behind}"
            console().print(told.rstrip(), markup=False, soft_wrap=True)
    return 0


def variants(vary: Sequence[str], tree: Mapping[str, Any]) -> Iterator[Variant]:
    """Label and settings of each variant: all values of one field with all of the next.

    `corpus.filters.NAME=on,off` takes a filter of the recipe's list out, or puts it in behind the others. Raises
    ConfigError for a word that is no FIELD=V,V.
    """
    from groundup.errors import ConfigError

    fields = []
    for word in vary:
        field, equals, values = word.partition("=")
        if not equals or not field or not all(values.split(",")):
            raise ConfigError(f"--vary {word}: write it as FIELD=VALUE,VALUE")
        fields.append([(field, value) for value in values.split(",")])
    for chosen in product(*fields):
        settings = [f"{field}={value}" for field, value in chosen if not field.startswith(f"{FILTERS}.")]
        switches = {
            field.removeprefix(f"{FILTERS}."): value for field, value in chosen if field.startswith(f"{FILTERS}.")
        }
        if switches:
            settings.append(f"{FILTERS}={_switched(tree, switches)}")
        yield ", ".join(f"{field}={value}" for field, value in chosen), tuple(settings)


def compared(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Of each variant the mean over seeds, and the paired difference to the first with its interval.

    `found` has the facts of the runs, a run a seed. Raises DataError when they were measured on different texts.
    """
    from groundup.errors import DataError
    from groundup.eval.interval import student

    texts = {(facts["corpus"]["held_out_documents"], facts["corpus"]["held_out_bytes"])
             for runs in found.values() for facts in runs}  # fmt: skip
    if len(texts) > 1:
        sizes = ", ".join(f"{documents} documents of {size:,} bytes" for documents, size in sorted(texts))
        raise DataError(f"the variants hold out different texts ({sizes}); pin them with corpus.held_out.ids")
    first: list[float] = []
    rows = []
    for label, runs in found.items():
        bits = [float(facts["eval"]["bits_per_byte"]["value"]) for facts in runs]
        first = first or bits
        mean, difference = student(bits), student([ours - theirs for ours, theirs in zip(bits, first, strict=True)])
        rows.append({
            "variant": label, "bits_per_byte": mean.value, "seeds": bits, "bytes": runs[0]["corpus"]["bytes"],
            "difference": difference.value, "low": difference.low, "high": difference.high,
            "certain": difference.low > 0 or difference.high < 0,
        })  # fmt: skip
    return rows


def _recipe(words: Sequence[str]) -> dict[str, Any]:
    """What the words say. Raises ConfigError where they do not say how long to train."""
    from groundup.config import merge, parse_pairs, read_toml
    from groundup.errors import ConfigError

    tree: dict[str, Any] = {}
    for word in words:
        tree = merge(tree, read_toml(Path(word)) if word.endswith(".toml") else parse_pairs([word]))
    if not isinstance(tree.get("train"), dict) or not tree["train"].get("steps"):
        raise ConfigError("train.steps: say how many; variants are compared after the same number of tokens")
    return tree


def _switched(tree: Mapping[str, Any], switches: Mapping[str, str]) -> str:
    """The recipe's list of filters with some put in or taken out, as TOML. Raises ConfigError for another word."""
    from groundup.corpus.settings import Corpus
    from groundup.errors import ConfigError

    corpus = tree.get("corpus", {})
    base = Corpus.from_tree({"filters": corpus["filters"]} if "filters" in corpus else {})
    tables = {each.name: {"name": each.name, **each.tree()} for each in base.filters}
    for name, word in switches.items():
        if word not in ("on", "off"):
            raise ConfigError(f"--vary {FILTERS}.{name}={word}: a filter is on or off")
        if word == "off":
            tables.pop(name, None)
        else:
            tables.setdefault(name, {"name": name})
    inline = ("{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "}"
              for table in tables.values())  # fmt: skip
    return f"[{', '.join(inline)}]"


def _facts(args: argparse.Namespace, label: str, settings: Sequence[str], seed: int) -> dict[str, Any]:
    """The facts of one run, made in a process of its own. Raises ConfigError with what it said when it fails."""
    from groundup.errors import ConfigError

    slug = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-").lower()[-40:]
    name = f"{args.name}-{slug}-{seed}"
    data = [word for path in args.data for word in ("--data", path)]
    words = [*args.words, *data, "--name", name, "--runs", str(args.runs), "--quiet", "--json"]
    command = [sys.executable, "-m", "groundup", "run", *words, f"seed={seed}", *SKIPPED, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{label}, seed {seed}: {done.stderr.strip().removeprefix('groundup: ')}")
    facts: dict[str, Any] = json.loads(done.stdout)["facts"]
    return facts
