"""`run` on many machines: by ssh, Slurm, Ray or Kubernetes

words: as `groundup run` has them; the run's folder must be one that all machines share.

Writes what the cluster's own tool wants under RUNS/NAME/launch/ and submits it; --dry-run writes and shows it.
Launching again finds the job that is there. Killed, pre-empted or out of time, it goes on from its last checkpoint.

  groundup launch recipe.toml --name big --hosts alpha,beta --ranks 8
  groundup launch recipe.toml --name big --slurm --nodes 4 --ranks 8 --option=--time=8:00:00
  groundup launch recipe.toml --name big --ray http://head:8265 --nodes 2 --ranks 4
  groundup launch recipe.toml --name big --k8s --image REGISTRY/groundup --claim runs --nodes 2 --gpus 8 --dry-run
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.cli import print_json
from groundup.cli.run import add_recipe_arguments
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.cli._order import Order
    from groundup.launch._base import Job, Launcher


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_recipe_arguments(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--hosts", metavar="A,B", help="machines that ssh reaches without a question")
    where.add_argument("--slurm", action="store_true", help="this cluster's Slurm")
    where.add_argument("--ray", metavar="URL", help="the dashboard of a Ray cluster")
    where.add_argument("--k8s", action="store_true", help="the Kubernetes that kubectl is set to, with JobSet")
    parser.add_argument("--nodes", type=int, default=1, help="machines (1; with --hosts, as many as are named)")
    parser.add_argument("--ranks", type=int, default=1, help="processes on each, one for each GPU (1)")
    parser.add_argument("--restarts", type=int, default=3, help="after a rank died (3)")
    parser.add_argument("--gpus", type=int, default=0, help="reserved on each machine (ray, k8s)")
    parser.add_argument("--option", action="append", default=[], metavar="=LINE", help="a line of #SBATCH (slurm)")
    parser.add_argument("--image", help="that holds groundup (k8s)")
    parser.add_argument("--claim", help="the PersistentVolumeClaim that holds the runs (k8s)")
    parser.add_argument("--namespace", default="default", help="(k8s)")
    parser.add_argument("--ssh", default="ssh -o BatchMode=yes", metavar="COMMAND", help="that reaches them (hosts)")
    parser.add_argument("--dry-run", action="store_true", help="write and show the files; submit nothing")


def run(args: argparse.Namespace) -> int:
    """Write the files, and submit them."""
    from groundup.cli._order import Order
    from groundup.launch._base import write

    order = Order.read(args)
    launcher, job = _launcher(args), _job(args, order)
    paths = write(launcher, job)
    said = "" if args.dry_run else launcher.submit(job)
    if args.json:
        print_json({"run": order.name, "files": paths, "said": said})
        return 0
    for path in paths if args.dry_run else ():
        print(f"# {path}\n{path.read_text(encoding='utf-8').rstrip()}")
    print(said or "nothing is submitted (--dry-run)")
    return 0


def _launcher(args: argparse.Namespace) -> "Launcher":
    """Raises ConfigError where something that Kubernetes needs is not said."""
    if args.hosts:
        from groundup.launch.hosts import Hosts

        return Hosts(tuple(args.hosts.split(",")), tuple(shlex.split(args.ssh)))
    if args.slurm:
        from groundup.launch.slurm import Slurm

        return Slurm(tuple(args.option))
    if args.ray:
        from groundup.launch.ray import Ray

        return Ray(args.ray, args.gpus)
    from groundup.launch.k8s import K8s

    if not args.image or not args.claim:
        raise ConfigError("--k8s needs --image, that holds groundup, and --claim, the volume that holds the runs")
    return K8s(args.image, args.claim, args.namespace, args.gpus)


def _job(args: argparse.Namespace, order: "Order") -> "Job":
    """Raises ConfigError for numbers of machines that do not fit together."""
    from groundup.config import merge
    from groundup.launch._base import Job

    hosts = len(args.hosts.split(",")) if args.hosts else args.nodes
    elastic = merge(order.frozen() or {}, order.user_tree()).get("elastic", {})
    least = elastic.get("min_hosts", hosts)
    if not 1 <= least <= hosts or args.ranks < 1:
        raise ConfigError(
            f"{hosts} machines of {args.ranks} ranks, elastic.min_hosts={least}: use 1 <= least <= machines"
        )
    words = list(args.words)
    for flag in ("data", "chat"):
        words += [f"--{flag}={value}" for value in getattr(args, flag) or ()]
    if args.minutes is not None:
        words.append(f"--minutes={args.minutes:g}")
    return Job(
        name=order.name,
        words=tuple(words),
        runs=args.runs.absolute(),
        folder=Path.cwd(),
        python=sys.executable,
        hosts=hosts,
        ranks=args.ranks,
        least=least,
        restarts=args.restarts,
        modules=os.environ.get("PYTHONPATH", ""),
    )
