"""the runs: when they were made, how far they are, their size on disk"""

import argparse

from groundup.cli import print_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> int:
    """List the runs of a folder."""
    from groundup.report.gather import gather
    from groundup.store import Store, runs_in

    rows = []
    for name in runs_in(args.runs):
        store = Store(args.runs / name)
        view = gather(store.root)
        rows.append(
            {
                "name": name,
                "created": store.read_json("run.json")["created"],
                "stages": list(store.current()),
                "bytes": store.size(),
                "bits_per_byte": view.headline_bits_per_byte,
            }
        )
    if args.json:
        print_json(rows)
        return 0
    if not rows:
        print(f"no runs in {args.runs}; `groundup run` makes one")
    for row in rows:
        bits = f"{row['bits_per_byte']:.3f} bits per byte" if row["bits_per_byte"] else "not measured yet"
        print(f"{row['name']:<20} {row['created']:<26} {row['bytes'] / 1e6:>8.1f} MB  {bits}")
    return 0
