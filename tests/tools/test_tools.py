"""Tools answer every call, however it is written; the calculator is exact; Python runs in the sandbox."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.config import Folder
from groundup.errors import DataError, UnsupportedError
from groundup.tools._base import MOST_LETTERS, Tool, answer
from groundup.tools._sandbox import Sandbox
from groundup.tools.calculator import Calculator
from groundup.tools.python import Python

NUMBERS = st.integers(-(10**9), 10**9)


def every() -> list[Tool]:
    tools = [Folder("tools").read(name) for name in Folder("tools").choices()]
    return [tool for tool in tools if isinstance(tool, Tool)]


def test_the_folder_is_the_list_of_tools() -> None:
    assert Folder("tools").choices() == ["calculator", "python"]
    for tool in every():
        written = json.loads(json.dumps(tool.definition()))["function"]
        assert written["name"] == tool.name and written["description"]
        assert set(written["parameters"]["required"]) <= set(written["parameters"]["properties"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('{"name": "calculator", "arguments": {"expression": "123456 * 654321"}}', "80779853376"),
        ('{"name": "calculator", "arguments": "{\\"expression\\": \\"2 ** 10\\"}"}', "1024"),
        ("not JSON", "error: the call cannot be read as JSON"),
        ("[" * 100_000, "error: the call cannot be read as JSON"),
        ("[1]", "error: a call is an object"),
        ('{"name": "calculater"}', "error: there is no tool 'calculater'; did you mean 'calculator'?"),
        ('{"name": "calculator"}', "error: calculator needs the argument 'expression'"),
        ('{"name": "calculator", "arguments": [1]}', "error: arguments of calculator are not an object"),
        ('{"name": "calculator", "arguments": {"expresion": "1"}}', "did you mean 'expression'?"),
        ('{"name": "calculator", "arguments": {"expression": 5}}', "must be a string"),
        ('{"name": "calculator", "arguments": {"expression": "1 / 0"}}', "error: division by zero"),
    ],
)
def test_every_call_is_answered(call: str, said: str) -> None:
    assert said in answer(every(), call)


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.dictionaries(st.sampled_from(["name", "arguments", "x"]), st.text(max_size=9)).map(json.dumps)
)
def test_no_call_is_crashed_on(call: str) -> None:
    assert isinstance(answer([Calculator()], call), str)


@given(NUMBERS, NUMBERS, NUMBERS.filter(bool), st.sampled_from("+-*"))
def test_the_calculator_is_exact(a: int, b: int, c: int, sign: str) -> None:
    said = Calculator().call({"expression": f"({a} {sign} {b}) / {c}"})
    exact = Fraction({"+": a + b, "-": a - b, "*": a * b}[sign], c)
    if exact.denominator == 1:
        assert said == str(exact.numerator)
    else:
        assert Fraction(said) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 + 0.2", "0.3"),
        ("-7 // 2", "-4"),
        ("2 ** -2", "0.25"),
        ("1/3", "0.333333333333"),
        ("3 × 4 − 1", "11"),
        ("-1/8", "-0.125"),
    ],
)
def test_the_calculator_writes_as_people_do(expression: str, value: str) -> None:
    assert Calculator().call({"expression": expression}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "x + 1",
        "__import__('os')",
        "1 if 1 else 2",
        "",
        "(" * 300,
        "'a' * 9",
        "2 ** 0.5",
        "10 ** 399 * 10 ** 399",
        "1e999",
    ],
)
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(DataError):
        Calculator().call({"expression": expression})


def test_python_tells_what_was_printed_and_what_went_wrong() -> None:
    try:
        Sandbox()
    except UnsupportedError as error:
        pytest.skip(str(error))
    python = Python()
    assert python.call({"code": "print(sum(range(101)))"}) == "5050\n"
    assert python.call({"code": "x = 1"}) == "(it printed nothing)"
    assert python.call({"code": "print(1)\n1 / 0"}) == "1\n[failed] ZeroDivisionError: division by zero"
    call = json.dumps({"name": "python", "arguments": {"code": "print('x' * 9999)"}})
    assert len(answer([python], call)) < MOST_LETTERS + 50
