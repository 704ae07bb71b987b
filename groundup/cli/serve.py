"""serve runs to any OpenAI client

An HTTP server with OpenAI's API: chat, completions, embeddings, streaming. It listens to this machine alone unless
--host says otherwise, and then it needs a key. SIGTERM or Ctrl-C ends it once the replies on their way are done.
Each request leaves a JSON line on standard error; what people say is in none of them.

  groundup serve mine
  groundup serve mine other --port 8080
  groundup serve mine --tools calculator,python              what a chat may ask to have run
  groundup serve mine --compile                              starts a minute later, and answers one client twice as fast
  groundup serve mine --ui                                   the page too (see groundup ui)
  groundup serve mine --host 0.0.0.0 --api-key-file key.txt
"""

import argparse
import sys
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("names", nargs="+", metavar="RUN", help="runs; clients ask for them by these names")
    stages = ("adapt", "grpo", "sft", "pretrain")
    parser.add_argument("--stage", choices=stages, help="whose weights (else the last done)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0 is any free port")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="a text file with the key clients must send")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the models' steps first (needs a C++ compiler; holds the weights twice more)",
    )
    parser.add_argument("--ui", action="store_true", help="the page too, under /ui")
    parser.add_argument(
        "--tools", default="calculator", metavar="NAME,...", help="what a chat may have run here: calculator, python"
    )
    parser.add_argument("--waiting", type=int, default=256, help="requests that may wait; more are told to come back")
    parser.add_argument("--request-seconds", type=float, default=300.0, help="a reply that takes longer is cut")


def run(args: argparse.Namespace) -> int:
    """Open the runs' models and serve them."""
    from groundup.cli._model import open_dialogue
    from groundup.cli._screen import console
    from groundup.cli.ui import page
    from groundup.dialogue.assist import open_tools
    from groundup.events import Events
    from groundup.plan.machine import settle
    from groundup.serve.guard import Limits
    from groundup.serve.http import create_app
    from groundup.serve.run import listen, read_key
    from groundup.serve.run import run as serve

    key = read_key(args.api_key_file, args.host)
    settle()
    progress = Events(screen=console(stderr=True)) if args.compile else None
    models = {name: open_dialogue(args.runs, name, args.stage, compiled=progress) for name in args.names}
    limits = Limits(waiting=max(0, args.waiting), request_seconds=args.request_seconds)
    tools = open_tools([name for name in args.tools.split(",") if name])
    app = create_app(models, limits=limits, key=key, log=sys.stderr, tools=tools)
    if args.ui:
        page(args.runs)(app, key)
    with listen(args.host, args.port) as bound:
        host = f"[{args.host}]" if ":" in args.host else args.host
        where = f"http://{host}:{bound.getsockname()[1]}/v1"
        serve(app, bound, lambda: print(f"serving {', '.join(models)} at {where}", flush=True))
    return 0
