"""talk to a run's model in the terminal

Replies stream as they are made. /reset forgets the talk, /quit leaves, Ctrl-C stops a reply.
With --say, one question is answered and the command ends (so that a script can ask).

  groundup chat mine
  groundup chat mine --stage sft --temperature 0.5
  groundup chat mine --say "What is 17 + 25?"
  groundup chat mine --tools calculator                       a model that was taught to call it
"""

import argparse

STAGES = ("adapt", "grpo", "sft", "pretrain", "import")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("--stage", choices=STAGES, help="whose weights (else the last that is done)")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 always takes the likeliest token")
    parser.add_argument(
        "--top-p", type=float, default=0.95, help="only the likeliest tokens up to this much probability"
    )
    parser.add_argument("--max-tokens", type=int, default=200, help="longest reply")
    parser.add_argument("--seed", type=int, default=1, help="the same seed and talk give the same reply")
    parser.add_argument("--tools", metavar="NAME,...", help="what it may call: calculator, python")
    parser.add_argument("--say", metavar="TEXT", help="ask this, print the reply, and end")


def run(args: argparse.Namespace) -> int:
    """Open the run's model and talk."""
    from groundup.config import read_toml
    from groundup.dialogue.assist import open_tools
    from groundup.plan.machine import settle
    from groundup.recipe import Recipe
    from groundup.serve.terminal import Settings, answer, talk
    from groundup.stages.results import device_of, open_model
    from groundup.store import Store

    store = Store.open(args.runs, args.name)
    settle()
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    dialogue = open_model(store, recipe, args.stage, device_of(store))
    tools = open_tools(args.tools.split(",")) if args.tools else ()
    settings = Settings(args.temperature, args.top_p, args.max_tokens, args.seed, tools)
    if args.say is not None:
        answer(dialogue, args.say, settings)
    else:
        talk(dialogue, settings)
    return 0
