"""The command line in this process, for words that end before anything is trained."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.cli import main
from spine import Said


@pytest.fixture
def say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """`say("list", "--json")`: the command in a folder of its own."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> Said:
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:  # argparse ends a line that it cannot read by itself
            status = int(end.code or 0)
        torch.set_num_threads(threads)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    yield run
    torch.set_num_threads(threads)
