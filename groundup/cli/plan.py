"""the forecast alone: what a run would make, how long it takes, what it costs; nothing is trained

Takes the same words and flags as `run`. Probes the machine, measures the text, and prints the shape, batch and
rates it would choose, the seconds of each stage, memory, disk, and the bits per byte to expect.

  groundup plan --data ~/my-texts --minutes 30
  groundup plan --data ~/my-texts --minutes 600 --price-per-hour 2.50

With --gpus it plans for GPUs that need not be there: a layout (the recipe's [parallel] section, or parallel=auto),
whether every shape fits, the memory of the fullest rank and the bytes it sends in a step, all by formula.

  groundup plan --gpus 256 --gpu h100 parallel=auto model.name=llama model.layers=80 model.dim=8192 model.heads=64
      model.kv_heads=8 model.hidden=28672 model.length=8192 tokenizer.vocab_size=128256 train.rows=512
"""

import argparse
from typing import TYPE_CHECKING

from groundup.cli import print_json
from groundup.cli.run import add_recipe_arguments

if TYPE_CHECKING:
    from groundup.recipe import Recipe


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_recipe_arguments(parser)
    parser.add_argument("--gpus", type=int, metavar="N", help="plan for so many GPUs, in place of this machine")
    parser.add_argument("--gpu", default="h100", metavar="KIND", help="a100, h100, h200 or b200 (default: h100)")
    parser.add_argument("--gpus-per-host", type=int, default=8, metavar="N", help="GPUs with fast links (default: 8)")
    parser.add_argument("--gpu-memory", type=float, metavar="GB", help="of one GPU, where it is not the kind's")


def run(args: argparse.Namespace) -> int:
    """Print the forecast of a run that is not started."""
    from groundup.cli._order import Order
    from groundup.cli._screen import console, forecast_table

    order = Order.read(args)
    if args.gpus is not None:
        from groundup.recipe import Recipe

        return _scale(Recipe.from_tree(order.user_tree()), args)
    from groundup.plan.forecast import plan

    forecast = plan(order.layers, order.runs, order.frozen())
    if args.json:
        print_json(forecast.facts(args.price_per_hour))
    else:
        console().print(forecast_table(forecast, args.price_per_hour))
    return 0


def _scale(recipe: "Recipe", args: argparse.Namespace) -> int:
    """Print the plan for a cluster."""
    from groundup.cli._screen import console, lines_table
    from groundup.plan.layout import cluster_of, planned

    cluster = cluster_of(args.gpu, args.gpus, args.gpus_per_host, args.gpu_memory)
    told = planned(recipe, cluster)
    if args.json:
        print_json(told.facts())
    else:
        console().print(lines_table("plan", told.lines()))
    return 0
