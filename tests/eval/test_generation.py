"""Scores of replies and of functions, by models whose words are known."""

import pytest

from eval.chain import continuing, engine, saying, tokenizer
from groundup.corpus.conversation import Message
from groundup.eval.generation import answer, converse, errors_cut, function_facts, real_functions, write_functions
from groundup.eval.interval import Interval, wilson
from groundup.tasks._base import Example
from groundup.tasks.arithmetic import Arithmetic
from groundup.tasks.functions import Sample, fault
from groundup.tokenizer.special import END_OF_TEXT

TASK = Arithmetic()
SEVEN, EIGHT = (Example(f"What is {a} + 1?", str(a + 1), "+", (str(a + 1),)) for a in (6, 7))
EXAMPLES = [SEVEN, EIGHT, SEVEN, EIGHT, SEVEN]


def test_a_score_is_the_share_of_right_replies() -> None:
    answers = answer(TASK, EXAMPLES, saying("7"), max_tokens=8)
    assert answers.scores.tolist() == [[1.0], [0.0], [1.0], [0.0], [1.0]]
    assert answers.score == wilson(3, 5)
    assert answers.ended == wilson(5, 5)
    facts = answers.facts()
    assert (facts["score"], facts["n"], facts["chance"]) == (0.6, 5, None)


def test_replies_that_are_cut_have_not_ended() -> None:
    assert answer(TASK, EXAMPLES, saying("is 7"), max_tokens=2).ended == wilson(0, 5)


def test_samples_of_one_example_count_as_one() -> None:
    answers = answer(TASK, [SEVEN, EIGHT], saying("7"), max_tokens=8, samples=3, temperature=1.0)
    assert answers.scores.tolist() == [[1.0] * 3, [0.0] * 3]
    assert answers.score == answers.pass_at(3) == wilson(1, 2)
    with pytest.raises(ValueError, match="at least 4 samples"):
        answers.pass_at(4)


def test_no_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="no examples"):
        answer(TASK, [], saying("7"), max_tokens=8)


def test_errors_cut_compares_the_same_questions() -> None:
    before, after = (answer(TASK, EXAMPLES, saying(text), max_tokens=8) for text in ("8", "7"))
    cut = errors_cut(before, after)
    assert cut is not None
    assert cut.value == pytest.approx(1 - 2 / 3)
    assert cut.low < cut.value < cut.high
    assert errors_cut(before, before) == Interval(0.0, 0.0, 0.0)
    right = answer(TASK, [SEVEN], saying("7"), max_tokens=8)
    assert errors_cut(right, right) is None


def test_a_conversation_holds_every_question_and_drops_what_does_not_fit() -> None:
    questions = ["What is 1?", "How much?", "Please?", "x" * 40]
    talk = converse(saying("7"), questions, max_tokens=8)
    assert talk == tuple(
        message for question in questions for message in (Message("user", question), Message("assistant", "7"))
    )


@pytest.mark.parametrize(
    ("text", "end", "written", "verdict"),
    [
        ("\n\tx=1", END_OF_TEXT, Sample("def f(x):", "\tx=1", stopped=True), ""),
        ("\nx", None, Sample("def f(x):", "x"), "syntax"),
        ("\n\t=", END_OF_TEXT, Sample("def f(x):", "\t=", stopped=True), "syntax"),
    ],
)
def test_a_function_ends_with_the_text_or_at_column_0(text: str, end: str, written: Sample, verdict: str) -> None:
    model = continuing(text, end)
    (sample,) = write_functions(engine(model), tokenizer(), [Example("def f(x):", "")])
    assert sample == written
    assert fault(sample) == verdict


def test_a_function_that_does_not_end_is_endless() -> None:
    model = continuing("\n\tx=1\n")
    samples = write_functions(engine(model), tokenizer(), [Example("def f(x):", "")] * 9, max_tokens=20)
    assert {sample.text for sample in samples} == {"\tx=1\n" * 4}
    assert [fault(sample) for sample in samples] == ["endless"] * 9
    assert not engine(model).busy


def test_facts_of_functions_stand_beside_the_real_ones() -> None:
    written = [Sample("def f(x):", "\tx=1", stopped=True)] * 3 + [Sample("def f(x):", "\tpass\n", stopped=True)]
    examples = [Example("def f(x):", f"    x = {n}\n    return x\n") for n in range(4)] + [
        Example("def g():", "    pass\n")
    ]
    real = real_functions(tokenizer(), examples)
    facts = function_facts(written, real)
    assert facts["score"] == 0.5
    assert facts["faults"] == {"repeated": 1, "empty": 1}
    assert (facts["median_lines"], facts["real_median_lines"]) == (1, 2)
    assert facts["real"] == wilson(4, 5).facts()


def test_a_real_function_of_too_many_tokens_is_endless_too() -> None:
    short, long = real_functions(
        tokenizer(), [Example("def f():", "\tx=1\n"), Example("def f():", "\tx=1\n" * 5)], max_tokens=25
    )
    assert (fault(short), fault(long)) == ("", "endless")
