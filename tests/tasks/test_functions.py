"""The rule for written functions: what counts, what fails, and why."""

import pytest

from groundup.tasks._base import place
from groundup.tasks.functions import Functions, Sample, body_of, draw, fault, judge, n_lines
from tasks.shelf import modules


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return x\n", ""),
        ('    """Add."""\n    return x + 1\n', ""),
        ("    return x\n\n\ndef g(:\n", ""),  # what follows in column 0 is not part of it
        ("    raise NotImplementedError\n", ""),
        ("    pass\n", "empty"),
        ("    ...\n", "empty"),
        ('    """Only words."""\n    pass\n', "empty"),
        ("    # a comment\n", "syntax"),
        ("\n\n", "syntax"),
        ("return x\n", "syntax"),
        ("    return (x\n", "syntax"),
        ("    if x:\n", "syntax"),
        ("    break\n", "syntax"),
        ('    text = """\nin column 0\n"""\n    return text\n', "syntax"),
        ("    return '\\d'\n", ""),
        ("    return \0\n", "syntax"),
    ],
)
def test_fault(body, expected):
    assert fault(Sample("def f(x):", body, stopped=True)) == expected


def test_a_sample_that_neither_stops_nor_reaches_column_0_is_endless():
    assert fault(Sample("def f(x):", "    x += 1\n" * 50)) == "endless"
    assert fault(Sample("def f(x):", "    x += 1\n" * 50 + "y = 2")) == ""
    assert body_of("    a\n    b") == ("    a\n    b", False)


def test_no_body_counts_more_than_twice_whatever_its_layout():
    bodies = [
        "    return x\n",
        "    return  x  # again\n",
        '    "words"\n    return x\n',
        "    return x\n",
        "    return y\n",
    ]
    faults = judge([Sample(f"def f{index}(x):", body, stopped=True) for index, body in enumerate(bodies)])
    assert faults == ["", "", "repeated", "repeated", ""]


def test_drawn_functions_are_those_of_the_source():
    (document,) = modules("shelve.py")
    drawn = draw([document], 1000, Functions().random("held_out", 1))
    assert {"def sync(self):", "def close(self):"} <= {example.question for example in drawn}
    assert len({example.question for example in drawn}) == len(drawn)
    assert all(example.question.startswith("def ") and n_lines(example.answer) >= 1 for example in drawn)
    assert sum(not fault(Sample(example.question, example.answer, True)) for example in drawn) > 0.9 * len(drawn)


def test_place_is_even():
    assert 0.45 < sum(place(str(index)) for index in range(1000)) / 1000 < 0.55
