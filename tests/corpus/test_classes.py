"""Tables of labelled texts: columns are found by their names, what is missing is named by line."""

import gzip
from pathlib import Path

import pytest

from groundup.corpus.classes import Labelled, read_classes
from groundup.corpus.document import Unreadable
from groundup.errors import DataError

GOOD, BAD = Labelled("so, so good", "up"), Labelled('not "it"\nat all', "down")
TABLES = {
    "a.csv": 'label,text\nup,"so, so good"\ndown,"not ""it""\nat all"\n',
    "b.tsv": 'Sentence\tcategory\tid\nso, so good\tup\t1\n"not ""it""\nat all"\tdown\t2\n',
    "c.jsonl": '{"text": "so, so good", "is_nice": "up"}\n\n{"text": "not \\"it\\"\\nat all", "is_nice": "down"}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_texts_and_labels_are_found_by_the_names_of_their_columns(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    with gzip.open(tmp_path / f"{name}.gz", "wt", encoding="utf-8", newline="") as file:
        file.write(TABLES[name])
    assert list(read_classes(tmp_path / name)) == [GOOD, BAD]
    assert list(read_classes(tmp_path / f"{name}.gz")) == [GOOD, BAD]


def test_a_row_without_a_label_is_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\ngood,up\nbad,\n", encoding="utf-8")
    _, missing = read_classes(path)
    assert isinstance(missing, Unreadable) and missing.detail == f"{path}: line 3: no label"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "a.csv: the columns are a, b; call that of the texts 'text'"),
        ("text,label\n", "a.csv: the file is empty"),
        ("text,label\n,x\n", "a.csv: line 2: no text; no row of the file is usable"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told.replace(".", r"\.")):
        list(read_classes(tmp_path / "a.csv"))
