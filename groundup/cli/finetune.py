"""go on from a run's model with examples: fine-tuning, adapters, preferences

Makes a NEW run from the model of RUN, which stays as it is. Methods and what they learn from:
  sft                           conversations (OpenAI messages, ShareGPT, Alpaca), or the good side of what follows
  dpo cdpo ipo simpo orpo       pairs: chosen and rejected (texts, messages, HH-RLHF's text, OpenAssistant's trees)
  kto                           single verdicts (a reply and its label), or pairs
  distill                       conversations, said as --teacher RUN would say them
  gkd                           the model's own replies to their questions, as --teacher RUN would go on in them
  reward                        pairs; the run then judges replies, and makes none
  classify                      texts with a label: CSV, TSV or JSONL (adapt.folds=5 judges every text)
  regress                       texts whose label is a number
  ppo grpo gspo best-of-n       the model's own replies to the questions of any of these, judged by --reward RUN, or
                                by the examples' own answers (adapt.answers=same, or number: the last one)
A tenth of the examples is held out; the model is measured before and after, and with --minutes its best weights stay.
Kill it at any moment: the same command goes on from there, and so does `groundup run NAME`.

  groundup finetune mine --data talks.jsonl --minutes 5
  groundup finetune mine --data talks.jsonl adapt.replay=0.4    with some of the text that it came from: it forgets less
  groundup finetune mine --data talks.jsonl --data few.jsonl=4 adapt.noise=5    sets by weight; NEFTune
  groundup finetune mine --data sums.jsonl adapt.answers=same adapt.tools=calculator       what tools it calls are run
  groundup finetune mine --data pairs.jsonl --method dpo --name polite adapt.objective.beta=0.2
  groundup finetune mine --data pairs.jsonl --method dpo --adapter lora adapt.adapter.rank=16
  groundup finetune mine --data pairs.jsonl --method dpo --preview
  groundup finetune mine --data pairs.jsonl --method reward --name judge
  groundup finetune mine --data pairs.jsonl --method ppo --reward judge
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundup.cli._adapt import Adaptation

ADAPTERS = ("none", "lora", "dora", "qlora")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("parent", metavar="RUN", help="the run whose model is gone on from")
    parser.add_argument("words", nargs="*", metavar="adapt.FIELD=VALUE", help="settings; also seed and precision")
    parser.add_argument(
        "--data", action="append", required=True, metavar="FILE[=W]", help="examples, counted W times (sft)"
    )
    parser.add_argument("--method", "--task", default="sft", metavar="NAME", help="how to learn from them (sft)")
    parser.add_argument("--adapter", choices=ADAPTERS, help="small matrices beside frozen ones (none)")
    parser.add_argument("--reward", metavar="RUN", help="the reward model that judges the model's own replies")
    parser.add_argument("--teacher", metavar="RUN", help="the model to be like (distill, gkd)")
    parser.add_argument("--stage", help="whose weights of RUN (else the last that is done)")
    parser.add_argument("--minutes", type=float, help="for the whole command (else three epochs)")
    parser.add_argument("--name", help="the new run's name (else RUN-METHOD-ADAPTER)")
    parser.add_argument(
        "--preview", action="store_true", help="ten examples as the model will see them, and nothing else"
    )
    parser.add_argument("--quiet", action="store_true", help="no bars, no results")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Look at the examples, bring the model into the new run, and make its stages.

    Raises ConfigError for settings, DataError and UnsupportedError for examples, and StoreError for runs that will not
    do.
    """
    from groundup.cli._adapt import Adaptation
    from groundup.stages.examples import read_examples

    wanted = Adaptation.read(args)
    recipe, _ = wanted.recipe(dict.fromkeys(("import", *wanted.others), "preview"))
    found = read_examples(recipe)  # before anything is made of it
    if args.preview:
        from groundup.cli._preview import preview

        preview(wanted, recipe, found)
        return 0
    return _make(wanted, args)


def _make(wanted: "Adaptation", args: argparse.Namespace) -> int:
    from groundup.cli._adapt import same, write
    from groundup.cli.run import nothing_to_do

    store = wanted.store()
    try:
        with store.locked():
            recipe, origins = wanted.recipe(wanted.take(store))
            if same(store, recipe):
                return nothing_to_do(store, args)
            basis = wanted.basis(store)
            write(store, recipe, origins, basis)
            from groundup.cli._work import begin, make, terminated_as_interrupt

            screen = begin(args)
            with terminated_as_interrupt():
                return make(store, recipe, basis, screen, args)
    except BaseException:
        store.discard()
        raise
