"""One server for the tests that do not change it."""

from collections.abc import Iterator

import pytest

from serve.house import House, serving


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """A server without a key and with ordinary limits."""
    with serving() as running:
        yield running
