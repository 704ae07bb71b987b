"""The terminal: what a person types, what they see, and how they get out."""

from collections.abc import Callable, Iterable
from io import StringIO

from rich.console import Console

from dialogue.speaker import LENGTH, SAYING, babbler, dialogue, parrot
from groundup.serve.terminal import Settings, answer, talk

CALM = Settings(temperature=0.0, top_p=None, max_tokens=60)


class Interrupted(Console):
    """A screen at which somebody presses Ctrl-C once a given text is on it."""

    def __init__(self, at: str) -> None:
        super().__init__(file=StringIO(), width=200)
        self.at = at

    def print(self, *objects, **options) -> None:
        super().print(*objects, **options)
        if self.at and self.at in self.file.getvalue():
            self.at = ""
            raise KeyboardInterrupt


def screen() -> Console:
    return Console(file=StringIO(), width=200)


def shown(console: Console) -> str:
    return console.file.getvalue()


def typed(lines: Iterable[str | type[BaseException]]) -> Callable[[], str]:
    """A keyboard at which somebody types these lines, or presses a key that raises."""
    left = iter(lines)

    def read() -> str:
        line = next(left, EOFError)
        if isinstance(line, type):
            raise line
        return line

    return read


def test_one_question_is_answered():
    console = screen()
    assert answer(dialogue(parrot()), "Hi", CALM, console) == SAYING
    assert shown(console) == f"{SAYING}\n"


def test_a_talk_answers_each_line_and_ends_with_the_input():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed(["Hi", "", "  "]))
    assert shown(console).count(SAYING) == 1


def test_quit_ends_the_talk_before_the_next_line():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed(["/quit", "Hi"]))
    assert SAYING not in shown(console)


def test_commands_are_listed_and_a_typo_is_told():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed(["/help", "/rest", "/reset"]))
    assert "/quit" in shown(console)
    assert "did you mean '/reset'?" in shown(console)
    assert "forgotten" in shown(console)


def test_reset_makes_the_next_reply_that_of_a_new_talk():
    fresh, again = screen(), screen()
    babble = Settings(temperature=0.0, top_p=None, max_tokens=10)
    talk(dialogue(babbler()), babble, fresh, typed(["the cat"]))
    talk(dialogue(babbler()), babble, again, typed(["mat", "/reset", "the cat"]))
    assert shown(again).endswith(shown(fresh).partition("model")[2])


def test_a_long_talk_forgets_its_oldest_turns_instead_of_failing():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed(["Hi"] * 6))
    assert "context" not in shown(console)
    assert shown(console).count("model") == 6


def test_too_long_a_line_is_refused_and_the_talk_goes_on():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed(["x" * 300, "Hi"]))
    assert f"the context holds {LENGTH}" in shown(console)
    assert SAYING in shown(console)


def test_ctrl_c_stops_a_reply_and_not_the_program():
    console = Interrupted(at=SAYING[:5])
    talk(dialogue(parrot()), CALM, console, typed(["Hi", "Hi"]))
    assert "(stopped)" in shown(console)
    assert shown(console).index("(stopped)") < shown(console).index(SAYING)


def test_ctrl_c_at_the_prompt_says_how_to_leave():
    console = screen()
    talk(dialogue(parrot()), CALM, console, typed([KeyboardInterrupt, "Hi"]))
    assert "/quit" in shown(console)
    assert SAYING in shown(console)


def test_what_a_model_says_cannot_drive_the_terminal():
    console = Console(file=StringIO(), width=200, force_terminal=True)
    for seed in range(3):
        answer(dialogue(babbler()), "Hi", Settings(temperature=3.0, top_p=None, max_tokens=25, seed=seed), console)
    assert "\x1b" not in shown(console)
    assert "\x07" not in shown(console)
