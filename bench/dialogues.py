"""Talks of several turns with a run's model: what people said in held-out conversations, and what it says to that.

    python bench/dialogues.py RUN [--runs DIR] [--stage STAGE] [--talks 200] [--turns 3] [--temperature 0.8] [--show 5]

Takes conversations that the run held out of its --chat files in which the user speaks at least twice, and puts the
user's turns to the model one after the other, behind its own replies. Prints the share of replies that end with the
end-of-turn token, of those that speak for someone else (a special token that has no place in a reply), of whole talks
in which every reply ended, how many replies differ from all others, and some talks.
"""

import argparse
from collections import Counter
from pathlib import Path

from groundup.cli._model import open_dialogue
from groundup.config import read_toml
from groundup.corpus.conversation import Conversation, Message
from groundup.eval.interval import wilson
from groundup.plan.machine import settle
from groundup.recipe import Recipe
from groundup.stages.conversations import own_talks
from groundup.store import Store
from groundup.tokenizer.chat import Ending

REPLY_TOKENS = 96
# Characters of a turn: with a reply it has to fit in the context of a small model.
LONGEST = 300


def main() -> None:
    """Hold the talks, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--stage")
    parser.add_argument("--talks", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--show", type=int, default=5)
    args = parser.parse_args()
    settle()
    recipe = Recipe.from_tree(read_toml(Store.open(args.runs, args.run).root / "recipe.toml"))
    said = [[turn for turn in talk if turn.role == "user"] for talk in own_talks(recipe.data.chat, "held_out")]
    several = [turns for turns in said if len(turns) > 1 and max(len(turn.content) for turn in turns) <= LONGEST]
    step = max(1, len(several) // args.talks)
    asked = [turns[: args.turns] for turns in several[::step]][: args.talks]
    dialogue = open_dialogue(args.runs, args.run, args.stage)
    most = min(REPLY_TOKENS, dialogue.engine.length // 2)
    held: list[Conversation] = [() for _ in asked]
    endings: list[list[Ending]] = [[] for _ in asked]
    for turn in range(args.turns):
        going = [place for place, turns in enumerate(asked) if turn < len(turns)]
        for place in going:
            held[place] = (*held[place], asked[place][turn])
        fitted = [dialogue.fit(held[place], most) for place in going]
        replies = dialogue.reply(fitted, max_tokens=most, temperature=args.temperature, seed=turn)
        for place, reply in zip(going, replies, strict=True):
            held[place] = (*held[place], reply.message)
            endings[place].append(reply.ending)
    every = [ending for each in endings for ending in each]
    texts = Counter(message.content for talk in held for message in talk if message.role == "assistant")
    print(f"{len(asked)} talks, {len(every)} replies at temperature {args.temperature}")
    print(f"end with the end of the turn   {wilson(sum(each is Ending.STOPPED for each in every), len(every))}")
    print(f"speak for someone else         {wilson(sum(each is Ending.MALFORMED for each in every), len(every))}")
    ended = sum(all(each is Ending.STOPPED for each in talk) for talk in endings)
    print(f"talks in which all end         {wilson(ended, len(endings))}")
    print(f"replies said once              {sum(count == 1 for count in texts.values())} of {len(every)}")
    for talk in held[:: max(1, len(held) // max(1, args.show))][: args.show]:
        print("\n".join(["", *map(shown, talk)]))


def shown(message: Message) -> str:
    """A turn as a line."""
    return f"  {'you  ' if message.role == 'user' else 'model'} {' '.join(message.content.split())}"


if __name__ == "__main__":
    main()
