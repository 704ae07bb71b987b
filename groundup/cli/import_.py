"""a model that was made elsewhere, as a run: to talk to, to train on, to fine-tune, to export

DIR is a Hugging Face folder (config.json, safetensors, tokenizer.json) of a GPT2LMHeadModel, LlamaForCausalLM or
Qwen3ForCausalLM. What our models do not compute (scaled rotary positions, sliding windows, biases) is refused by name.

  groundup import ~/models/tiny-llama --name tiny
  groundup chat tiny
  groundup run tiny --data notes/ --minutes 30 train.optim.lr=0.002     go on pretraining, then chats, then GRPO
  groundup run tiny --data notes/ --chat talks.jsonl train.steps=0      fine-tune on conversations only
"""

import argparse
from pathlib import Path

from groundup.cli import print_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the model's folder")
    parser.add_argument("--name", help="the new run's name (else the folder's)")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="where tokenizer.json is (else in DIR)")
    parser.add_argument("--length", type=int, help="tokens of context (else the model's, up to 2048)")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Read the folder and begin a run with it."""
    from groundup.cli._screen import console, facts_table
    from groundup.formats.incoming import read
    from groundup.stages.incoming import bring_in
    from groundup.store import check_name

    name = check_name(args.name or args.folder.resolve().name)
    given = read(args.folder, args.length, args.tokenizer)
    artifact = bring_in(args.runs, name, given)
    if args.json:
        print_json({"run": name, "folder": str(artifact.path), "facts": dict(artifact.facts)})
        return 0
    screen = console()
    screen.print(facts_table(f"run {name}", {key: value for key, value in artifact.facts.items() if key != "notes"}))
    for note in given.notes:
        screen.print(f"  note: {note}", markup=False)
    screen.print(f"talk to it:  groundup chat {name}", markup=False)
    return 0
