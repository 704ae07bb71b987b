"""Tasks made from documents: what they quote stands in the text, and what they ask can be answered."""

import re

import pytest

from groundup.corpus.document import Document
from groundup.tasks._excerpt import Page, first_sentence, open_at_random, readable_name, size, snippets
from groundup.tasks.definitions import Definitions, definitions
from groundup.tasks.origin import Origin
from groundup.tasks.passages import KINDS, Passages
from tasks.shelf import documents, modules, tales


def test_sentences_end_where_a_reader_ends_them():
    text = "Mr. Fox came at 3 p.m. today. “No!” she said. Dr. A. Owl left…\n\nA heading\n\nIs it 3.14? 終わり。次の文。"
    assert Page(text).units() == [
        "Mr. Fox came at 3 p.m. today.",
        "“No!” she said.",
        "Dr. A. Owl left…",
        "A heading",
        "Is it 3.14?",
        "終わり。",
        "次の文。",
    ]


@pytest.mark.parametrize("document", [*tales(2), *modules("queue.py")], ids=lambda document: document.id)
def test_a_page_is_cut_between_units(document):
    whole = set(Page(document.text, document.id.endswith(".py")).units())
    for seed in range(20):
        page = open_at_random(document, Passages().random("train", seed), 300)
        assert page.units()
        assert set(page.units()) <= whole


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_passages_are_of_every_kind_and_verbatim(split):
    shelf = documents(split)
    examples = Passages().examples(split, 200, 1, shelf)
    assert {example.kind for example in examples} == set(KINDS)
    for example in examples:
        quoted = example.question.partition("\n\n")[2]
        pieces = [*(quoted.split("\n\n") if example.kind == "more" else [quoted]), example.answer]
        owners = [document for document in shelf if all(piece in document.text for piece in pieces)]
        assert owners
        if example.kind == "find":
            assert example.answer in quoted
        if example.kind in ("after", "continue"):
            assert any(
                re.search(re.escape(quoted.rstrip()) + r"\s*" + re.escape(example.answer.lstrip()), owner.text)
                for owner in owners
            )


@pytest.mark.parametrize("task", [Passages(max_bytes=300), Origin(max_bytes=500), Definitions(max_bytes=200)])
def test_length_stays_in_the_budget(task):
    examples = task.examples("train", 100, 1, documents("train"))
    assert examples
    assert max(size(example.question + example.answer) for example in examples) <= task.max_bytes


@pytest.mark.parametrize("style", ["letter", "evidence"])
def test_origin_can_be_answered_by_matching_words_and_letters_are_even(style):
    examples = Origin(style=style).examples("train", 200, 1, documents("train"))
    right = 0
    for example in examples:
        _, passage, choices = re.fullmatch(r"(.*?)\n\n(.*)\n\n(.*?)", example.question, re.DOTALL).groups()
        here = set(re.findall(r"\w+", passage))
        votes = {line[0]: len(here & set(re.findall(r"\w+", line))) for line in choices.split("\n")}
        right += max(votes, key=votes.get) == example.expected[0]
    assert right > 0.8 * len(examples)
    for letter in "ABCD":
        assert 0.15 < sum(example.expected == (letter,) for example in examples) / len(examples) < 0.35


def test_options_of_origin_end_alike_and_show_the_letters_documents():
    shelf = documents("train")
    task = Origin()
    for example in task.examples("held_out", 40, 1, shelf):
        passage = example.options[0][-1].content
        assert passage in example.question
        assert len(example.options) == 4
        assert {option[-1] for option in example.options} == {example.options[0][-1]}
        assert all(sum(size(message.content) for message in option) <= task.max_bytes for option in example.options)
        owner = next(document for document in shelf if passage in document.text)
        shown = [option[0].content.split("\n\n")[1:] for option in example.options]
        own = [all(piece in owner.text for piece in pieces) for pieces in shown]
        assert own.index(True) == example.right == "ABCD".index(example.expected[0])
        assert own.count(True) == 1


@pytest.mark.parametrize("document", documents("train")[4:10], ids=lambda document: document.id)
def test_snippets_are_short_verbatim_and_apart(document):
    random = Passages().random("train", 1)
    passage = document.text[300:600]
    found = snippets(document, random, 4, 80, passage)
    assert found
    for piece in found:
        assert piece in document.text
        assert size(piece) <= 80
        assert piece[:20] not in passage
        assert sum(piece[:20] in other for other in found) == 1


def test_origin_prefers_other_books_and_needs_four_documents():
    shelf = tales(4)
    assert len(Origin().examples("held_out", 5, 1, shelf)) == 5
    assert Origin().examples("held_out", 5, 1, shelf[:3]) == []
    one_book = [Document(f"book/part-{index}", tale.text, "tales", "") for index, tale in enumerate(shelf)]
    assert len(Origin().examples("held_out", 5, 1, one_book)) == 5


def test_origin_scores_the_last_letter_alone():
    task = Origin()
    example = task.examples("train", 1, 1, documents("train"))[0]
    letter = example.expected[0]
    other = "ABCD"[("ABCD".index(letter) + 1) % 4]
    assert task.score(example, f"lantern: {letter}") == 1.0
    assert task.score(example, f"Not {other} but {letter}.") == 1.0
    assert task.score(example, f"{letter}, no, {other}") == 0.0
    assert task.score(example, f"{letter}nchor") == 0.0


def test_definitions_of_python():
    found = {term: (kind, text) for kind, term, text in definitions(modules("textwrap.py")[0])}
    assert found["textwrap.dedent"] == (
        "function",
        "Remove any common leading whitespace from every line in `text`.",
    )
    assert found["textwrap"][0] == "module"
    assert found["textwrap.TextWrapper"][0] == "class"
    assert not any("._" in term for term in found)


def test_definitions_of_prose():
    text = (
        "# Gardens\n\nA garden needs water. And light.\n\n## Tools\n\nA spade is enough for a start.\n\n"
        "**Mulch**: what covers the soil. It rots.\n\n**Loam** - a fine soil.\n\nSeeds\n=====\n\nSow them in May.\n\n"
        "Compost\n: old leaves and time. Mostly time.\n"
    )
    found = {(kind, term): sentence for kind, term, sentence in definitions(Document("garden.md", text, "", ""))}
    assert found[("heading", "Gardens")] == "A garden needs water."
    assert found[("heading", "Tools")] == "A spade is enough for a start."
    assert found[("heading", "Seeds")] == "Sow them in May."
    assert found[("glossary", "Mulch")] == "what covers the soil."
    assert found[("glossary", "Loam")] == "a fine soil."
    assert found[("glossary", "Compost")] == "old leaves and time."


def test_bare_words_above_paragraphs_are_a_dictionary_only_when_many():
    entries = "".join(f"{word}\n\nA thing of that name. More.\n\n" for word in ("Mace", "Maid", "Male", "Man", "Meal"))
    found = [term for _, term, _ in definitions(Document("m.txt", entries, "", ""))]
    assert found == ["Mace", "Maid", "Male", "Man", "Meal"]
    assert list(definitions(Document("m.txt", "Mace\n\nA thing of that name.\n\n", "", ""))) == []


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (Document("json/__init__.py", "", "", ""), "json"),
        (Document("leo-tolstoy_war-and-peace_louise-maude/chapter-1-2", "", "", ""), "War And Peace, Chapter 1 2"),
        (Document("guide/intro.md", "# Getting started\n\nHello", "", ""), "Getting started"),
        (Document("guide/intro.md", "Hello", "", ""), "Guide, Intro"),
        (Document("src/lib/parse.rs", "fn main() {}", "", ""), "lib/parse.rs"),
        (Document("./notes.txt", "", "", ""), "Notes"),
    ],
)
def test_readable_names(document, name):
    assert readable_name(document) == name


@pytest.mark.parametrize(
    "text", ["", "\n\n", "....", "x" * 100_000, "a b " * 5000, "\ud800 lone. Surrogate!", "日本" * 900]
)
def test_odd_documents_make_few_questions_and_no_error(text):
    shelf = [Document(f"{index}.txt", text, "", "") for index in range(4)] + [Document("odd.py", text, "", "")]
    for task in (Passages(), Origin(), Definitions()):
        for example in task.examples("train", 10, 1, shelf):
            assert task.score(example, task.answer(example)) == 1.0


def test_first_sentence_of_nothing():
    assert first_sentence("") == ""
    assert first_sentence("no full stop") == "no full stop"
