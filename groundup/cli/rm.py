"""remove a run and everything in it"""

import argparse
import sys


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Remove one run, after asking."""
    from groundup.store import Store

    store = Store.open(args.runs, args.name)
    if not args.yes:
        if not sys.stdin.isatty():
            sys.stderr.write(f"groundup: this removes {store.root} for good; add --yes\n")
            return 2
        if input(f"remove {store.root} ({store.size() / 1e6:.1f} MB) for good? [y/N] ").strip().lower() != "y":
            return 1
    store.remove()
    print(f"removed {store.root}")
    return 0
