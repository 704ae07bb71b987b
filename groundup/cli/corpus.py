"""text to clean documents, without training anything: build a corpus, try a filter, plan a cluster

  build    raw text in, DIR/documents, DIR/removed (each with its reason), DIR/facts.json and DIR/report.html out; a
           killed build goes on where it was when the same command is given again
  removed  documents that were removed from DIR, and why
  train    a classifier for the filters quality and toxicity, from texts of two kinds; its measure is printed
  try      what filters would drop or change of the first documents, with examples, in seconds; nothing is written
  cost     hours, money, memory and disk of a build on a cluster, from rates of one core, with the arithmetic

words:
  PATH[=WEIGHT]         a file, a folder, a glob, or python (the library of the running interpreter)
  corpus.FIELD=VALUE    one setting: corpus.filters=web corpus.dedup.near=0.7 corpus.held_out.fraction=0.01
  FILTER[=FIELD:VALUE]  (try) a filter with its settings: gopher length=minimum:200,maximum:5000

  groundup corpus build books/ notes.jsonl.zst --out clean
  groundup corpus build crawl/ --out clean --config web.toml corpus.dedup.earlier='["last-month/documents"]'
  groundup corpus removed clean --reason near_duplicate --sample 5
  groundup corpus train --yes good/ --no bad/ --out quality.safetensors
  groundup corpus train --labelled comments.jsonl --label is_toxic=Toxic --letters --out toxic.safetensors
  groundup corpus try gopher personal crawl/
  groundup corpus cost 10TB --nodes 20 --cores 64 --price 2.5 --rate judge=5 relate=40 parent=200000 publish=30
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.cli import print_json
from groundup.cli.show import add_ledger_arguments, print_ledger

if TYPE_CHECKING:
    from groundup.corpus.settings import Corpus


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    ways = parser.add_subparsers(dest="way", metavar="WAY", required=True)
    build = ways.add_parser("build", help="raw text in, clean documents out", formatter_class=parser.formatter_class)
    build.add_argument("words", nargs="+", metavar="PATH", help="what to read, and corpus.FIELD=VALUE")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the corpus goes")
    build.add_argument("--config", type=Path, metavar="FILE", help="a recipe; its [corpus] section is read")
    build.add_argument("--workers", type=int, metavar="N", help="processes (one a core)")
    build.add_argument("--engine", choices=("native", "ray"), default="native", help="this machine, or a Ray cluster")
    build.add_argument("--json", action="store_true", help="the facts, machine-readable")
    build.set_defaults(parser=build)
    gone = ways.add_parser("removed", help="what was removed, and why", formatter_class=parser.formatter_class)
    gone.add_argument("folder", type=Path, metavar="DIR", help="a corpus that `build` made")
    gone.add_argument("--json", action="store_true", help="machine-readable")
    add_ledger_arguments(gone)
    gone.set_defaults(parser=gone)
    train = ways.add_parser("train", help="a classifier for filters", formatter_class=parser.formatter_class)
    train.add_argument("--yes", nargs="+", default=[], metavar="PATH", help="texts of the kind that scores high")
    train.add_argument("--no", nargs="+", default=[], metavar="PATH", help="texts of the other kind")
    train.add_argument("--labelled", metavar="FILE", help="JSON lines of both kinds, in place of --yes and --no")
    train.add_argument("--label", metavar="FIELD=VALUE", help="which of its records are a yes")
    train.add_argument("--letters", action="store_true", help="look at parts of words too (short texts: comments)")
    train.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.safetensors")
    train.add_argument("--json", action="store_true", help="machine-readable")
    train.set_defaults(parser=train)
    trial = ways.add_parser("try", help="what a filter would drop", formatter_class=parser.formatter_class)
    trial.add_argument("words", nargs="+", metavar="WORD", help="filters, then what to read")
    trial.add_argument("--documents", type=int, default=2000, metavar="N", help="how many are looked at (2000)")
    trial.add_argument("--examples", type=int, default=3, metavar="N", help="shown for each reason (3)")
    trial.add_argument("--json", action="store_true", help="machine-readable")
    trial.set_defaults(parser=trial)
    cost = ways.add_parser("cost", help="what a cluster would take", formatter_class=parser.formatter_class)
    cost.add_argument("size", metavar="SIZE", help="of the text as it is unpacked: 10TB, 500GB")
    cost.add_argument("--rate", nargs="+", required=True, metavar="PASS=RATE", help="judge, relate, parent, publish")
    cost.add_argument("--nodes", type=int, default=1, metavar="N", help="machines (1)")
    cost.add_argument("--cores", type=int, required=True, metavar="N", help="of each machine")
    cost.add_argument("--price", type=float, default=0.0, metavar="X", help="of a machine for an hour")
    cost.add_argument("--use", type=float, default=0.8, metavar="S", help="share of ideal speed that is reached (0.8)")
    cost.add_argument("--document-bytes", type=float, default=5000.0, metavar="N", help="mean of a document (5000)")
    cost.add_argument("--copies", type=float, default=0.3, metavar="S", help="share of documents that are copies (0.3)")
    cost.add_argument("--json", action="store_true", help="machine-readable")
    cost.set_defaults(parser=cost)


def run(args: argparse.Namespace) -> int:
    """Build a corpus, show what was removed from one, train a classifier, try filters, or plan a cluster."""
    if args.way == "removed":
        return print_ledger(args.folder, args)
    return {"build": _build, "train": _train, "try": _try, "cost": _cost}[args.way](args)


def _build(args: argparse.Namespace) -> int:
    from groundup.cli._screen import console
    from groundup.corpus import refine
    from groundup.events import Events
    from groundup.report.page import corpus_page

    settings = _settings(args)
    screen = console(stderr=args.json)
    facts = refine.build(
        [word for word in args.words if not word.startswith("corpus.")],
        settings=settings,
        out=args.out,
        workers=args.workers,
        progress=Events(screen=screen),
        engine=args.engine,
    )
    name = args.out.resolve().name
    (args.out / "report.html").write_text(corpus_page(name, facts, args.out), encoding="utf-8")
    if args.json:
        print_json(facts)
    else:
        from groundup.cli._corpus import print_facts

        print_facts(screen, facts)
        screen.print(f"  {args.out / 'documents'}, {args.out / 'report.html'}", soft_wrap=True)
    return 0


def _settings(args: argparse.Namespace) -> "Corpus":
    """The corpus section of the recipe file and of the dotted settings. Raises ConfigError."""
    from groundup.config import merge, parse_pairs, read_toml
    from groundup.corpus.settings import Corpus
    from groundup.errors import ConfigError

    written: dict[str, Any] = read_toml(args.config) if args.config else {}
    if args.config and "corpus" not in written:
        raise ConfigError(
            f"{args.config}: there is no [corpus] section in it; `corpus.filters` and the like stand there"
        )
    typed = parse_pairs(word for word in args.words if word.startswith("corpus."))
    return Corpus.from_tree(merge({"corpus": written.get("corpus", {})}, typed)["corpus"])


def _train(args: argparse.Namespace) -> int:
    from groundup.cli._screen import console
    from groundup.corpus.classifier import LETTERS, WORDS, measured, train
    from groundup.events import Events

    texts, labels = _texts(args)
    features = LETTERS if args.letters else WORDS
    screen = console(stderr=args.json)
    areas = measured(texts, labels, features, Events(screen=screen))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    train(texts, labels, features).save(args.out)
    facts = {"yes": sum(labels), "no": len(labels) - sum(labels), "auc": areas, "file": str(args.out)}
    if args.json:
        print_json(facts)
    else:
        screen.print(
            f"{facts['yes']:,} texts against {facts['no']:,}; area under the ROC curve, each fold by the others:"
        )
        screen.print(
            f"  {sum(areas) / len(areas):.3f} ({min(areas):.3f} to {max(areas):.3f})   {args.out}", soft_wrap=True
        )
    return 0


def _texts(args: argparse.Namespace) -> tuple[list[str], list[bool]]:
    """What a classifier learns from. Raises ConfigError where it is not said, DataError where it cannot be read."""
    from groundup.corpus.labelled import labelled, texts_of
    from groundup.errors import ConfigError

    field, equals, value = (args.label or "").partition("=")
    if args.labelled and equals:
        return labelled(args.labelled, field, value)
    if not args.yes or not args.no or args.labelled:
        raise ConfigError("give --yes PATH --no PATH, or --labelled FILE --label FIELD=VALUE")
    yes, no = texts_of(args.yes), texts_of(args.no)
    return yes + no, [True] * len(yes) + [False] * len(no)


def _try(args: argparse.Namespace) -> int:
    from groundup.cli._corpus import print_trial
    from groundup.cli._screen import console
    from groundup.corpus.trial import split_words, try_filters

    filters, places = split_words(args.words)
    trial = try_filters(filters, places, args.documents, args.examples)
    if args.json:
        print_json(trial.facts())
    else:
        print_trial(console(), trial)
    return 0


def _cost(args: argparse.Namespace) -> int:
    from groundup.cli._corpus import print_cost
    from groundup.cli._screen import console
    from groundup.corpus.cost import Cluster, cost, size_of
    from groundup.errors import ConfigError

    rates = {}
    for word in args.rate:
        name, _, value = word.partition("=")
        try:
            rates[name] = float(value)
        except ValueError:
            raise ConfigError(f"--rate {word}: write it as PASS=NUMBER") from None
    if min(args.nodes, args.cores, args.use, args.document_bytes) <= 0:
        raise ConfigError("--nodes, --cores, --use and --document-bytes are numbers above 0")
    cluster = Cluster(args.nodes, args.cores, args.price, args.use)
    found = cost(size_of(args.size), cluster, rates, document_bytes=args.document_bytes, copies=args.copies)
    if args.json:
        print_json({
            "seconds": {name: seconds for name, (seconds, _) in found.passes.items()},
            "hours": found.seconds / 3600, "money": found.money,
            "parent_bytes": found.parent_bytes, "work_bytes": found.work_bytes,
        })  # fmt: skip
    else:
        print_cost(console(), cluster, found)
    return 0
