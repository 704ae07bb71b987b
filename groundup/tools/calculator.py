"""A calculator: arithmetic that is exact where it can be."""

import ast
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar

from groundup.errors import DataError
from groundup.tools._base import Tool

DIGITS = 400
"""The most digits of any number on the way."""
OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Calculator(Tool):
    """Whole numbers and decimals with + - * / // % ** and parentheses, worked out as fractions.

    >>> Calculator().call({"expression": "123456 * 654321"})
    '80779853376'
    >>> Calculator().call({"expression": "0.1 + 0.2"})
    '0.3'
    """

    description: ClassVar[str] = "Work out an arithmetic expression exactly: + - * / // % ** and parentheses."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"expression": {"type": "string", "description": "such as (12 + 3) * 4"}},
        "required": ["expression"],
    }

    def call(self, arguments: Mapping[str, Any]) -> str:
        """The value of `expression`. Raises DataError for what is not arithmetic, or too large."""
        text = arguments["expression"].strip().translate(str.maketrans({"×": "*", "÷": "/", "−": "-", "^": "**"}))
        if len(text) > 2 * DIGITS:
            raise DataError(f"the expression has {len(text)} letters; at most {2 * DIGITS} are read")
        try:
            value = _value(ast.parse(text, mode="eval").body, text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise DataError(f"{text!r} is not arithmetic; write something like (12 + 3) * 4") from None
        except ZeroDivisionError:
            raise DataError("division by zero") from None
        return _written(value)


def _value(node: ast.AST, text: str) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _small(Fraction(ast.get_source_segment(text, node) or str(node.value)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, text)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(_value(node.left, text), _value(node.right, text))
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return _small(Fraction(OPERATORS[type(node.op)](_value(node.left, text), _value(node.right, text))))
    raise SyntaxError


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise DataError("only whole powers are worked out")
    digits = len(str(max(abs(base.numerator), base.denominator)))
    if abs(exponent) * digits > 2 * DIGITS and abs(base) not in (0, 1):
        raise DataError(f"the result would have more than {DIGITS} digits")
    return _small(base ** int(exponent))


def _small(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) >= 10**DIGITS:
        raise DataError(f"a number has more than {DIGITS} digits")
    return value


def _written(value: Fraction) -> str:
    """A whole number, a decimal that ends, or twelve digits of one that does not."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest == 1 and len(str(value.denominator)) <= 30:
        places = next(n for n in range(1, 200) if (10**n) % value.denominator == 0)
        whole = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        return f"{'-' if value < 0 else ''}{whole[:-places]}.{whole[-places:]}"
    return f"{float(value):.12g}"
