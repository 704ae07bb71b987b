"""the forecast alone: what a run would make, how long it takes, what it costs; nothing is trained

Takes the same words and flags as `run`. Probes the machine, measures the text, and prints the shape, batch and
rates it would choose, the seconds of each stage, memory, disk, and the bits per byte to expect.

  groundup plan --data ~/my-texts --minutes 30
  groundup plan --data ~/my-texts --minutes 600 --price-per-hour 2.50
"""

import argparse

from groundup.cli import print_json
from groundup.cli.run import add_recipe_arguments


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_recipe_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the forecast of a run that is not started."""
    from groundup.cli._order import Order
    from groundup.cli._screen import console, forecast_table
    from groundup.plan.forecast import plan

    order = Order.read(args)
    forecast = plan(order.layers, order.runs, order.frozen())
    if args.json:
        print_json(forecast.facts(args.price_per_hour))
    else:
        console().print(forecast_table(forecast, args.price_per_hour))
    return 0
