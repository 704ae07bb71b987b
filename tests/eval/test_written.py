"""A model that writes: its replies end where they should, and several of one prompt are one item."""

import pytest

from eval.chain import LENGTH, continuing, saying, tokenizer
from groundup.eval.interval import wilson
from groundup.eval.written import Pen, answer, mark
from groundup.infer.engine import Engine
from groundup.models._base import Model
from groundup.tasks.published._base import Prompt
from groundup.tasks.published.svamp import Svamp
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import END_OF_TEXT

ASKED = [Prompt(str(n), "What", "2", 2.0) for n in range(4)]


def pen_of(model: Model, chat: Chat | None = None) -> Pen:
    return Pen(Engine(model, rows=4, length=LENGTH, table=tokenizer().token_bytes), tokenizer(), chat)


def test_text_is_gone_on_from_and_cut_at_the_first_stop() -> None:
    pen = pen_of(continuing("What is", END_OF_TEXT))
    assert pen.write(["What", "Wha"], most=20) == [" is", "t is"]
    assert pen.write(["What"], most=2) == [" i"]
    assert pen.write(["What"], most=20, until=("s", " i")) == [""]
    assert pen.write(["x" * 200 + "What"], most=20) == [" is"]  # what does not fit is left out in front


def test_a_chatbot_is_asked_as_one() -> None:
    dialogue = saying("2 pens")
    pen = pen_of(dialogue.engine.model, dialogue.chat)
    assert pen.write(["How much?", "x" * 200], most=20) == ["2 pens"] * 2
    assert answer(ASKED, Svamp(), pen).score == wilson(4, 4)


def test_samples_of_a_prompt_are_one_item_and_give_pass_at_k() -> None:
    marks = mark(ASKED, Svamp(), [["2", "3"], ["3", "3"], ["2", "2"], ["", "so 2"]])
    facts = marks.facts()
    assert [verdict.score for verdict in marks.verdicts] == [0.5, 0.0, 1.0, 0.5]
    assert (facts["score"], facts["n"]) == (0.5, 4)
    assert facts["pass_at"]["1"]["value"] == pytest.approx(0.5)
    assert facts["pass_at"]["2"]["value"] == pytest.approx(0.75)
    assert facts["shown"][0] == {"prompt": "What", "reply": "2", "expected": "2", "score": 0.5}
    assert "pass_at" not in mark(ASKED, Svamp(), [["2"]] * 4).facts()
