"""The part of `run` that needs torch: forecast, then the stages, then what came out."""

import argparse
import ctypes
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from groundup.cli import print_json
from groundup.cli._order import Order
from groundup.cli._screen import console, forecast_table
from groundup.config import Tree, merge, origins
from groundup.events import Events
from groundup.mesh import Mesh
from groundup.store import Store

if TYPE_CHECKING:
    from groundup.recipe import Recipe

MALLOC = ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 1 << 26))
"""M_MMAP_THRESHOLD: nothing under a GB by mmap; M_TRIM_THRESHOLD: nothing handed back; M_TOP_PAD: grow by 64 MB."""


def work(order: Order, store: Store, frozen: Tree | None, args: argparse.Namespace, mesh: Mesh | None = None) -> int:
    """Plan a new run, or take up an old one, and make what is to be made, with all ranks of `mesh`."""
    screen = begin(args)
    with terminated_as_interrupt():
        if frozen is None:
            recipe, basis = _planned(order, store, screen, args)
        else:
            recipe, basis = _taken_up(order, store, frozen)
        return make(store, recipe, basis, screen, args, mesh)


def begin(args: argparse.Namespace) -> Console | None:
    """Set this process up for training; the screen, if there is to be one. To be called before torch is loaded."""
    begin_process()
    return None if args.quiet else console(stderr=args.json)


def begin_process() -> None:
    """Set this process up for long numeric work. To be called before torch is loaded."""
    # Threads that spin long while they wait bring a shared machine to a halt; not to spin at all costs a seventh
    # (docs/diary.md). Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    keep_memory()
    # What cuBLAS needs to repeat itself to the bit (`deterministic=true`), and no slower where nobody asks for that.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from groundup.plan.machine import settle

    settle(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # torchrun's: ranks on this machine


def keep_memory() -> None:
    """Have the C library keep the memory that is freed for the next tensor, where it is glibc.

    Else every large tensor comes as new pages that the system must first clear: 7 % of a training step (docs/diary.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in MALLOC:
        mallopt(option, value)


def make(
    store: Store,
    recipe: "Recipe",
    basis: Mapping[str, Any],
    screen: Console | None,
    args: argparse.Namespace,
    mesh: Mesh | None = None,
) -> int:
    """Make every stage that is not done, and show what came out. The caller holds the run's lock."""
    import torch

    from groundup.pipeline import run, spent_before
    from groundup.stages._work import Clock

    if basis.get("threads"):
        torch.set_num_threads(min(torch.get_num_threads(), int(basis["threads"])))
    began = psutil.Process().create_time()
    per_token = float(basis.get("seconds_per_token", 0.0))
    clock = Clock(recipe.minutes, spent_before(store, recipe), began, _ahead(recipe, basis), per_token)
    events = Events(store.root / "metrics", screen)
    try:
        made = run(store, recipe, events, clock, str(basis["device"]), float(basis["rate"]), mesh)
    finally:
        events.close()
    if args.json:
        print_json({"run": store.name, "done": made, "seconds": clock.elapsed(), "facts": store.facts()})
    elif screen is not None:
        from groundup.cli._results import print_results

        print_results(screen, store, clock.elapsed())
    return 0


def _planned(
    order: Order, store: Store, screen: Console | None, args: argparse.Namespace
) -> "tuple[Recipe, Mapping[str, Any]]":
    """A new run's recipe, forecast and frozen; a run that cannot be planned leaves nothing behind."""
    from groundup.plan.forecast import plan

    try:
        _look(order, screen)
        forecast = plan(order.layers, order.runs)
    except BaseException:
        store.discard()
        raise
    if screen is not None:
        screen.print(forecast_table(forecast, args.price_per_hour))
    store.write_json("origins.json", forecast.origins)
    store.write_json("forecast.json", {**forecast.facts(args.price_per_hour), "basis": forecast.basis()})
    store.write_text("recipe.toml", forecast.recipe.to_toml())  # last: with it the run is one that can be taken up
    return forecast.recipe, forecast.basis()


def _look(order: Order, screen: Console | None) -> None:
    """Bring here what the data names on other machines, where a person can see how it goes on; look into the talks."""
    from groundup.corpus.sources._base import fetch
    from groundup.stages.conversations import check_talks

    fetch(_named(order, "text"), Events(None, screen))
    check_talks(_named(order, "chat"))


def _named(order: Order, setting: str) -> list[str]:
    """What a setting of the data names; what is not a list of strings is refused later, by name."""
    data = order.user_tree().get("data")
    found = data.get(setting) if isinstance(data, dict) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list | tuple) else []


def _taken_up(order: Order, store: Store, frozen: Tree) -> "tuple[Recipe, Mapping[str, Any]]":
    """The frozen recipe with what the user changes now; nothing is probed."""
    from groundup.recipe import Recipe

    recipe = Recipe.from_tree(merge(frozen, order.user_tree()))
    if order.layers:
        old = store.read_json("origins.json")
        new = origins(recipe.tree(), order.layers)
        store.write_text("recipe.toml", recipe.to_toml())
        store.write_json(
            "origins.json", {key: old.get(key, "default") if new[key] == "default" else new[key] for key in new}
        )
    return recipe, store.read_json("forecast.json")["basis"]


def _ahead(recipe: "Recipe", basis: Mapping[str, Any]) -> dict[str, float]:
    """Seconds that each stage is expected to take."""
    if recipe.adapt is not None:
        from groundup.plan.adapting import adapting_seconds

        return adapting_seconds(basis)
    from groundup.plan.stages import stage_seconds
    from groundup.plan.text import Text

    return stage_seconds(recipe, Text(**basis["text"]), float(basis["seconds_per_token"]))


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: what is finished stays, and a training stage saves first."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
