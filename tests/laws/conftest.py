"""Where the peers are: other libraries that these laws are held against, in environments of their own."""

import os

import pytest

TRL_PYTHON = "GROUNDUP_TRL_PYTHON"


@pytest.fixture(scope="session")
def trl_python() -> str:
    """The interpreter of an environment with TRL and PEFT, named by the variable `GROUNDUP_TRL_PYTHON`."""
    python = os.environ.get(TRL_PYTHON)
    if not python:
        pytest.skip(f"needs an environment with trl and peft: set {TRL_PYTHON} to its python")
    return python
