"""Talks held by a model and rated by another, which a real server on loopback serves."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eval.chain import saying
from groundup.corpus.conversation import Message
from groundup.errors import DataError, ResourceError
from groundup.eval.judged import RATING, Judge, converse, rate
from groundup.serve.guard import Limits
from groundup.serve.http import create_app
from groundup.tasks.published._base import Talk
from serve.house import listening

TALKS = [
    Talk("1", ("What is 1?", "How much?"), ("1", ""), "math"),
    Talk("2", ("Please work.", "x" * 90), ("", ""), "writing"),  # the second turn does not fit
]


@contextmanager
def judging(words: str) -> Iterator[Judge]:
    """A server whose model rates everything with the same words; it needs a key."""
    app = create_app({"judge": saying(words, length=2048)}, limits=Limits(), key="secret")
    with listening(app) as port:
        yield Judge(f"http://127.0.0.1:{port}/v1", "judge", "secret")


def test_every_turn_is_held_with_those_before_it() -> None:
    held = converse(TALKS, saying("7"))
    assert [[message.content for message in talk] for talk in held] == [
        ["What is 1?", "7", "How much?", "7"],
        ["Please work.", "7", "x" * 90, ""],
    ]


def test_ratings_are_scores_and_silence_gets_the_least() -> None:
    held = converse(TALKS, saying("7"))
    with judging("so [8]") as judge:
        marks = rate(TALKS, held, judge)
        with pytest.raises(ResourceError, match="the judge refuses"):
            Judge(judge.address, "judge").rate(held[0])
    facts = marks.facts()
    assert [verdict.score for verdict in marks.verdicts] == [0.8, pytest.approx(0.45)]
    assert (facts["judge"], facts["unrated"], facts["n"], facts["chance"]) == ("judge", 0, 2, None)
    assert set(facts["groups"]) == {"math", "writing"}


def test_a_judge_that_does_not_rate_is_told() -> None:
    talks = TALKS[:1]
    with judging("so what") as judge:
        with pytest.raises(DataError, match="gave none of 2 replies a rating"):
            rate(talks, converse(talks, saying("7")), judge)
    with pytest.raises(ResourceError, match="does not answer"):
        Judge("http://127.0.0.1:1/v1", "judge").rate((Message("user", "x"), Message("assistant", "y")))


@pytest.mark.parametrize(("text", "rating"), [("Good. [[9]]", 9), ("[10]", 10), ("[[3.5]]", 3), ("9 of 10", None)])
def test_how_a_rating_is_read(text: str, rating: int | None) -> None:
    found = RATING.findall(text)
    assert (int(found[-1]) if found else None) == rating
