"""The command line: one file a command. A command's module docstring is its help; its `run` does the work.

Heavy imports (torch, Arrow) happen inside `run`, so that `groundup --help` answers at once.
"""

import argparse
import errno
import importlib
import json
import keyword
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

import groundup
from groundup.errors import GroundupError, nearest

ORDER = (
    "run",
    "plan",
    "chat",
    "ui",
    "serve",
    "show",
    "finetune",
    "eval",
    "compare",
    "export",
    "import",
    "corpus",
    "ablate",
    "launch",
    "bench",
    "list",
    "rm",
)
"""Commands in the order in which a newcomer meets them."""

EPILOG = """\
examples:
  groundup run --data ~/my-texts --minutes 30 --name mine     your own text: a folder, files, globs, several --data
  groundup chat mine                                          talk to what came out
  groundup run recipe.toml train.optim=adamw model.layers=8   full control: a recipe file and dotted settings

`groundup COMMAND --help` explains each command. Runs live in ./runs (or --runs DIR)."""


class Command(Protocol):
    """What a file of this folder offers."""

    __doc__: str

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit status."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors suggest the nearest flag and end with the way to help."""

    def error(self, message: str) -> NoReturn:
        for word in message.split():
            if word.startswith("--") and message.startswith("unrecognized arguments"):
                flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
                message = f"there is no flag {word}; {nearest(word, flags)}"
                break
        sys.stderr.write(f"groundup: {message}\n  see `{self.prog} --help`\n")
        raise SystemExit(2)


def command(name: str) -> Command:
    """The module of a command."""
    file = f"{name}_" if keyword.iskeyword(name) else name
    return cast(Command, importlib.import_module(f"groundup.cli.{file}"))


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole parser; with `only`, the other commands' arguments are not declared."""
    parser = _Parser(
        prog="groundup",
        description="Your text in, your chatbot out: a language model from the ground up, on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"groundup {groundup.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_Parser)
    for name in ORDER:
        module = command(name)
        summary, _, rest = (module.__doc__ or "").partition("\n")
        sub = commands.add_parser(
            name, help=summary, description=summary, epilog=rest.strip(), formatter_class=parser.formatter_class
        )
        sub.set_defaults(parser=sub)
        if only in (None, name):
            sub.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs live")
            module.add(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status: 0 done, 1 it failed, 2 a mistake that the text explains, 130 stopped."""
    words = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a command here
    if words and not words[0].startswith("-") and words[0] not in ORDER:
        sys.stderr.write(f"groundup: there is no command {words[0]!r}; {nearest(words[0], ORDER)}\n")
        return 2
    parser = build_parser(words[0] if words else None)
    args = _read(parser, words)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        return command(args.command).run(args)
    except GroundupError as error:
        sys.stderr.write(f"groundup: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\ngroundup: stopped; nothing is lost: the same command goes on from here\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or Path(getattr(args, "runs", ".")).absolute()
        sys.stderr.write(
            f"groundup: the disk is full ({place}); what was finished is kept. "
            "Free some space, then run the same command again\n"
        )
        return 2


def _read(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The parsed words. Settings may stand after flags too, where argparse leaves them over (its issue 15112)."""
    args, rest = parser.parse_known_args(words)
    if any(word.startswith("-") for word in rest) or (rest and not hasattr(args, "words")):
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.words = [*args.words, *rest]
    return args


def print_json(value: Any) -> None:
    """One JSON document on standard output: what `--json` prints."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")
