"""The source of the house, read once: what the tests of this folder look at."""

import pytest

from syntax import ROOT, Source, read


@pytest.fixture(scope="session")
def package() -> list[Source]:
    """The files of `groundup/`."""
    return read("groundup")


@pytest.fixture(scope="session")
def everything() -> list[Source]:
    """The files of the package, its tests and its benchmarks."""
    return read("groundup", "tests", "bench")


@pytest.fixture(scope="session")
def plan() -> str:
    """The text of `docs/house.md`."""
    return (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
