"""From a folder of every format to a chatbot, by the real command line, on the smallest fixed recipe."""

from pathlib import Path

import pytest

import inputs
import spine
from groundup.store import Store


@pytest.mark.slow
def test_a_folder_of_all_formats_ends_in_a_chatbot(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    spine.write_bad_files(spine.write_text(folder, documents=6))
    for number, (name, write) in enumerate(inputs.WRITERS.items()):
        books = sorted(spine.write_text(tmp_path / name, documents=12, seed=number + 2).glob("*.txt"))
        write(folder / name, [" ".join(book.read_text("utf-8").split()) for book in books])
    inputs.write_pdf(folder / "locked.pdf", ["Secret."], locked=True)
    spine.groundup("run", spine.write_recipe(tmp_path), "--data", folder, "--name", "mixed", cwd=tmp_path)
    facts = Store(tmp_path / "runs" / "mixed").facts()
    (source,) = facts["corpus"]["sources"]
    assert source["removed"]["password"] == 1 and source["removed"]["broken_record"] == 1
    assert source["documents"] + source["held_out_documents"] > 80
    assert spine.groundup("chat", "mixed", "--say", "What is 2 + 3?", "--max-tokens", "4", cwd=tmp_path).stdout.strip()
