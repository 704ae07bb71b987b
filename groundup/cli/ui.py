"""the page: watch runs, talk to them, look inside, browse their data

Opens on this machine alone unless --host says otherwise, and then it needs a key, which the page asks for. Nothing is
loaded from elsewhere, and nothing that is typed is kept. The models that are open answer OpenAI's clients too.
Needs the packages of `groundup[ui]`.

  groundup ui
  groundup ui --runs ~/runs --port 9000
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

    from groundup.dialogue import Dialogue

ENGINE_ROWS = 8
"""Replies at a time from one model: a handful of people, and little memory."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="0 is any free port")
    parser.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="a text file with the key that lets people in"
    )
    parser.add_argument("--open", action="store_true", help="open a browser on it")


def run(args: argparse.Namespace) -> int:
    """Serve the page. Raises ConfigError where its packages are missing, and as `serve` does."""
    from groundup.plan.machine import settle
    from groundup.serve.http import create_app
    from groundup.serve.run import listen, read_key
    from groundup.serve.run import run as serve

    add_page = page(args.runs)
    key = read_key(args.api_key_file, args.host)
    settle()
    app = create_app({}, key=key, log=sys.stderr)
    add_page(app, key)
    with listen(args.host, args.port) as bound:
        host = f"[{args.host}]" if ":" in args.host else args.host
        where = f"http://{host}:{bound.getsockname()[1]}/ui/"

        def ready() -> None:
            print(f"the page of {args.runs} is at {where}", flush=True)
            if args.open:
                import webbrowser

                webbrowser.open(where)

        serve(app, bound, ready)
    return 0


def page(runs: Path) -> "Callable[[FastAPI, str | None], None]":
    """What puts the page about the runs of a folder on an application with that key.

    Raises ConfigError where its packages are missing.
    """
    from groundup.errors import ConfigError

    try:
        from groundup.serve.page.mount import mount
        from groundup.serve.page.session import Actions
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "nicegui":
            raise
        raise ConfigError("the page needs NiceGUI, which is not installed; `pip install 'groundup[ui]'`") from None
    actions = Actions(partial(_open, runs), partial(_export, runs))
    return lambda app, key: mount(app, runs, actions, key)


def _open(runs: Path, name: str, stage: str) -> "Dialogue":
    from groundup.cli._model import open_dialogue

    return open_dialogue(runs, name, stage, ENGINE_ROWS)


def _export(runs: Path, name: str, stage: str, kind: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """`groundup export` in a process of its own, so that the page goes on. Raises DataError with what it said."""
    import subprocess

    from groundup.errors import DataError

    flags = [word for field, value in settings.items() for word in (f"--{field}", value)]
    folder = runs.absolute().parent / f"{name}-{stage}-{kind}"
    words = ["export", name, str(folder), "--runs", str(runs), "--stage", stage, "--to", kind, "--json", *flags]
    done = subprocess.run([sys.executable, "-m", "groundup", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("groundup: ")]
        raise DataError(
            said[-1].removeprefix("groundup: ") if said else "the export failed; try it on the command line"
        )
    return dict(json.loads(done.stdout))
