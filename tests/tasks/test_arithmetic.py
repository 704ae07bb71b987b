"""Arithmetic: the working is right, the splits are by problem, the score reads the last number."""

import re

import pytest

from groundup.tasks._base import Example
from groundup.tasks.arithmetic import Arithmetic


def problem(example: Example) -> str:
    return re.search(r"\d+ [+-] \d+", example.question)[0]


@pytest.mark.parametrize("style", ["direct", "steps"])
def test_every_problem_once_and_every_answer_right(style):
    task = Arithmetic(style=style)
    examples = task.examples("train", 10**6, 1) + task.examples("held_out", 10**6, 1)
    assert len({problem(example) for example in examples}) == len(examples) == 20_000
    for example in examples:
        assert int(example.expected[0]) == eval(problem(example))
        assert example.answer.endswith(example.expected[0])


def test_each_step_of_the_working_is_right():
    for example in Arithmetic(style="steps").examples("train", 3000, 1):
        for left, right in re.findall(r"([\d+-]+)=(\d+)", example.answer):
            assert eval(left) == int(right)


def test_held_out_problems_are_the_same_for_every_seed_and_style():
    chosen = [
        {problem(example) for example in Arithmetic(style=style).examples("held_out", 500, seed)}
        for style, seed in (("direct", 1), ("steps", 2))
    ]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 500


@pytest.mark.parametrize(
    ("reply", "right"),
    [("-15", 1), ("so -15", 1), ("28-43=-15.", 1), ("−15", 1), ("15", 0), ("-150", 0), ("-15 or 3", 0), ("no idea", 0)],
)
def test_the_last_number_counts(reply, right):
    assert Arithmetic().score(Example("What is 28 - 43?", "", expected=("-15",)), reply) == right
