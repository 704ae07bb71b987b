"""Names of people: found by Presidio on a spaCy model that the test makes, refused by name where either is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from groundup.corpus.document import Document
from groundup.corpus.filters.personal import Personal
from groundup.errors import ConfigError, UnsupportedError

ROOT = Path(__file__).parents[2]
PEOPLE = ["Ann Lee", "Tom Hardy", "Maria Gomez", "John Smith", "Eve Adams", "Paul Klee"]
SAID = [
    "{} went home early.",
    "Yesterday {} wrote a letter.",
    "We met {} at the station.",
    "The tea was cold, said {}.",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger of names that learned 24 sentences by heart."""
    pytest.importorskip("presidio_analyzer", reason="names need the extra groundup[names]")
    import spacy
    from spacy.training import Example

    pipeline = spacy.blank("en")
    pipeline.add_pipe("ner").add_label("PERSON")
    examples = []
    for person in PEOPLE:
        for said in SAID:
            text, start = said.format(person), said.index("{")
            spans = {"entities": [(start, start + len(person), "PERSON")]}
            examples.append(Example.from_dict(pipeline.make_doc(text), spans))
    spacy.util.fix_random_seed(0)
    pipeline.initialize(lambda: examples)
    for _ in range(15):
        pipeline.update(examples)
    folder = tmp_path_factory.mktemp("model") / "names"
    pipeline.to_disk(folder)
    return folder


def test_names_are_masked_beside_the_rest_and_in_every_part_of_a_long_text(model: Path) -> None:
    rule = Personal(kinds=("name", "email"), model=str(model))
    rule.check()
    text = "Yesterday Maria Gomez wrote a letter. We met Tom Hardy at the station. Mail: tom@example.org"
    found = rule.judge(Document("d", text, "s", "p")).document
    assert found is not None and found.masked == 3
    assert found.text == "Yesterday [NAME] wrote a letter. We met [NAME] at the station. Mail: [EMAIL]"
    long = "The tea was cold, said nobody.\n" * 2000 + "We met Paul Klee at the station.\n"
    found = rule.judge(Document("d", long, "s", "p")).document
    assert found is not None and found.text.endswith("We met [NAME] at the station.\n")
    drop = Personal(kinds=("name",), model=str(model), action="drop").judge(Document("d", text, "s", "p"))
    assert (drop.reason, drop.value) == ("personal_name", 2.0)


def test_a_model_that_is_not_there_is_refused_by_name() -> None:
    pytest.importorskip("presidio_analyzer")
    with pytest.raises(UnsupportedError, match=r"there is no spaCy model 'no_such_model'.*spacy download"):
        Personal(kinds=("name",), model="no_such_model").check()


def test_what_is_not_asked_for_needs_nothing() -> None:
    Personal().check()
    with pytest.raises(ConfigError, match="did you mean 'name'"):
        Personal.from_tree({"kinds": ["nam"]})


def test_without_presidio_names_are_refused_by_name() -> None:
    """In an interpreter that has no such package."""
    program = (
        "import sys; sys.modules['presidio_analyzer'] = None\n"
        "from groundup.corpus.filters.personal import Personal\n"
        "Personal(kinds=('name',)).check()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "UnsupportedError" in done.stderr and "pip install 'groundup[names]'" in done.stderr
