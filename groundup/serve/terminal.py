"""Talking to a model in the terminal: replies stream, Ctrl-C stops a reply and not the program."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from rich.console import Console

from groundup.corpus.conversation import Conversation, Message
from groundup.dialogue import Dialogue
from groundup.dialogue.assist import Assistant
from groundup.errors import DataError, nearest
from groundup.tools._base import Tool

COMMANDS = {"/reset": "forget the talk so far", "/help": "show this", "/quit": "leave (so does Ctrl-D)"}


@dataclass(frozen=True)
class Settings:
    """How replies are sampled, and the tools that they may call. Turn n of a talk uses the seed `seed + n`."""

    temperature: float = 0.7
    top_p: float | None = 0.95
    max_tokens: int = 200
    seed: int = 1
    tools: tuple[Tool, ...] = ()


def answer(dialogue: Dialogue, text: str, settings: Settings, console: Console | None = None) -> str:
    """Ask one question, stream the reply to the screen, and give it back. Raises DataError for too long a question."""
    return _reply(dialogue, (Message("user", text),), settings, 0, console or Console())[-1].content


def talk(
    dialogue: Dialogue,
    settings: Settings,
    console: Console | None = None,
    read: Callable[[], str] | None = None,
) -> None:
    """Read a line, reply, and so on until /quit or the end of the input.

    The oldest turns are forgotten when the context is full. `read` gives the next line and raises EOFError at the end;
    it is the keyboard unless given.
    """
    console = console or Console()
    read = read or (lambda: console.input("[bold cyan]you [/]"))
    _say(console, "Ask me something. /help lists the commands.")
    history: Conversation = ()
    turn = 0
    while (line := _next(read, console)) is not None:
        if line.startswith("/"):
            if line == "/quit":
                return
            history = _obey(line, history, console)
        elif line:
            asked = (*history, Message("user", line))
            try:
                asked = dialogue.fit(asked, min(settings.max_tokens, dialogue.engine.length // 4))
                console.print("[bold green]model[/] ", end="")
                asked = (*asked, *_reply(dialogue, asked, settings, turn, console))
            except DataError as error:
                _say(console, str(error))
                continue
            history = asked
            turn += 1


def _next(read: Callable[[], str], console: Console) -> str | None:
    """The next line; None at the end of the input. Ctrl-C at the prompt drops the line and says how to leave."""
    while True:
        try:
            return read().strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            _say(console, "\n/quit or Ctrl-D leaves.")


def _obey(command: str, history: Conversation, console: Console) -> Conversation:
    """Carry out a command; the history after it."""
    if command == "/reset":
        _say(console, "The talk so far is forgotten.")
        return ()
    if command == "/help":
        _say(console, "\n".join(f"{name:<8}{what}" for name, what in COMMANDS.items()))
    else:
        _say(console, f"There is no command {command}; {nearest(command, COMMANDS)}")
    return history


def _reply(dialogue: Dialogue, asked: Conversation, settings: Settings, turn: int, console: Console) -> Conversation:
    """Stream one reply; what was said until its end or until Ctrl-C. With tools it comes whole, its calls before it."""
    if settings.tools:
        return _assisted(dialogue, asked, settings, turn, console)
    pieces: list[str] = []
    stream = dialogue.stream(
        asked,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=settings.seed + turn,
    )
    try:
        with closing(stream):
            for piece in stream:
                pieces.append(piece)
                console.print(_printable(piece), end="", markup=False, highlight=False, soft_wrap=True)
        console.print()
    except KeyboardInterrupt:
        _say(console, " (stopped)")
    return (Message("assistant", "".join(pieces)),)


def _assisted(dialogue: Dialogue, asked: Conversation, settings: Settings, turn: int, console: Console) -> Conversation:
    """One reply of a model that may call tools: what it called and was answered, and its last word."""
    assistant = Assistant(dialogue, settings.tools)
    (said,) = assistant.reply(
        [asked], max_tokens=settings.max_tokens, temperature=settings.temperature, seed=settings.seed + turn
    )
    for message in said:
        if message.role == "tool":
            _say(console, _printable(f"  = {message.content}"))
            continue
        if message.content:
            console.print(_printable(message.content), markup=False, highlight=False, soft_wrap=True)
        if message.call:
            _say(console, _printable(f"  {message.call}"))
    return said


def _printable(text: str) -> str:
    """Without control characters: what a model says must not drive the terminal."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _say(console: Console, text: str) -> None:
    console.print(text, style="dim", markup=False, highlight=False)
