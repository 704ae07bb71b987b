"""The run that the tests of the report look at."""

from pathlib import Path

import pytest

from report.example_run import FACTS, build


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run whose stages are all done."""
    return build(tmp_path, "quick", list(FACTS))
