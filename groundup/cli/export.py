"""a run's model for other programs: a folder, read again and compared before it is handed over

What is written is loaded by the other library (by our own reader where that is not installed) and must give the same
token ids and logits, else nothing is written. FORMAT is a file of groundup/formats; --help lists them.

  groundup export mine --to huggingface                      the last stage that is done, in ./mine-huggingface
  groundup export mine --to huggingface out --stage sft --precision bf16
  groundup export mine --to gguf --quantize q8_0             for llama.cpp, with an Ollama Modelfile
  groundup export mine --to onnx                             for onnxruntime, with and without a cache
  groundup export mine --to safetensors --quantize int4      our own names, every architecture
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.cli import print_json

if TYPE_CHECKING:
    from groundup.formats._base import Bundle
    from groundup.store import Store

STAGES = ("adapt", "grpo", "sft", "pretrain", "import")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from groundup.config import Folder

    parser.add_argument("name", help="the run")
    parser.add_argument("words", nargs="*", metavar="DIR", help="where to (else ./NAME-FORMAT)")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(Folder("formats").choices()))
    parser.add_argument("--stage", choices=STAGES, help="whose weights (else the last that is done)")
    parser.add_argument(
        "--precision", metavar="KIND", help="of the weights: fp32, bf16 or fp16 (huggingface, safetensors)"
    )
    parser.add_argument(
        "--quantize", metavar="KIND", help="gguf: f32, f16, bf16, q8_0 or q4_0; safetensors: int8 or int4"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Export, check, and say what was found. Raises ConfigError for words that are no folder."""
    from groundup.cli._screen import console, facts_table
    from groundup.config import Folder
    from groundup.errors import ConfigError
    from groundup.events import Events
    from groundup.formats._base import Format
    from groundup.formats.publish import check_target, export, manifest
    from groundup.plan.machine import settle
    from groundup.store import Store

    if len(args.words) > 1:
        raise ConfigError(f"{' '.join(args.words[1:])!r}: one folder is enough; see `groundup export --help`")
    store = Store.open(args.runs, args.name)
    settings = {"precision": args.precision, "quantize": args.quantize}
    format = Folder("formats").read({"name": args.to, **{k: v for k, v in settings.items() if v is not None}})
    assert isinstance(format, Format)
    folder = Path(args.words[0]) if args.words else Path(f"{args.name}-{args.to}")
    check_target(folder)
    settle()
    screen = console(stderr=args.json)
    bundle = open_bundle(store, args.stage)
    parity = export(format, bundle, folder, Events(screen=screen))
    facts: dict[str, Any] = {**manifest(format, bundle, parity), "folder": str(folder)}
    if args.json:
        print_json(facts)
    else:
        screen.print(facts_table(f"{args.name}, {bundle.stage}: {folder}", facts["parity"]))
    return 0


def open_bundle(store: "Store", stage: str | None = None) -> "Bundle":
    """What an export of a run's stage holds. Raises StoreError when the stage is not done."""
    from groundup.config import read_toml
    from groundup.formats._base import Bundle
    from groundup.recipe import Recipe
    from groundup.report.card import about
    from groundup.report.gather import gather
    from groundup.stages.results import chosen, tokenizer_folder
    from groundup.stages.training import build_model
    from groundup.tokenizer._base import load

    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    weights, tokenizer = chosen(store, stage), tokenizer_folder(store)
    model = build_model(recipe, tokenizer, weights.path, "cpu").eval()
    return Bundle(store.name, weights.kind, model, load(tokenizer), about(gather(store.root)))
