"""a model that was made elsewhere, as a run: to talk to, to train on, to fine-tune, to export

MODEL is a Hugging Face folder (config.json, safetensors, tokenizer.json) of a GPT2LMHeadModel, LlamaForCausalLM or
Qwen3ForCausalLM, or hub:OWNER/NAME[@REVISION], which is fetched first, once. What our models do not compute (scaled
rotary positions, sliding windows, biases) is refused by name.

  groundup import ~/models/tiny-llama --name tiny
  groundup import hub:openai-community/gpt2
  groundup chat tiny
  groundup run tiny --data notes/ --minutes 30 train.optim.lr=0.002     go on pretraining, then chats, then GRPO
  groundup run tiny --data notes/ --chat talks.jsonl train.steps=0      fine-tune on conversations only
"""

import argparse
from pathlib import Path

from groundup.cli import print_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="its folder, or hub:OWNER/NAME")
    parser.add_argument("--name", help="the new run's name (else the folder's)")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="where tokenizer.json is (else with the model)")
    parser.add_argument("--hub", metavar="ADDRESS", help="the hub's address (else that of huggingface_hub)")
    parser.add_argument("--length", type=int, help="tokens of context (else the model's, up to 2048)")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Read the folder, fetched first where it is on a hub, and begin a run with it."""
    from dataclasses import replace

    from groundup.cli._screen import console, facts_table
    from groundup.events import Events
    from groundup.formats.hub import KIND, fetch_model
    from groundup.formats.incoming import read
    from groundup.stages.incoming import bring_in
    from groundup.store import check_name

    screen = console(stderr=args.json)
    source, folder = args.model, Path(args.model)
    if args.model.startswith(KIND):
        source, folder = fetch_model(args.model, args.hub, progress=Events(screen=screen))
    name = check_name(args.name or Path(source).resolve().name)
    given = read(folder, args.length, args.tokenizer)
    if source != args.model:
        given = replace(given, facts={**given.facts, "folder": source})
    artifact = bring_in(args.runs, name, given)
    if args.json:
        print_json({"run": name, "folder": str(artifact.path), "facts": dict(artifact.facts)})
        return 0
    screen.print(facts_table(f"run {name}", {key: value for key, value in artifact.facts.items() if key != "notes"}))
    for note in given.notes:
        screen.print(f"  note: {note}", markup=False)
    screen.print(f"talk to it:  groundup chat {name}", markup=False)
    return 0
