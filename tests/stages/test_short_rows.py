"""How many rows come shorter is a number of steps; a length that does not divide the context is told."""

import pytest

from groundup.errors import ConfigError
from groundup.recipe import Pretrain
from groundup.stages.training import _start_rows


def test_rows_are_steps_times_rows() -> None:
    assert _start_rows(Pretrain(rows=4, start_length=64, start_steps=3), 128) == 12
    assert _start_rows(Pretrain(rows=4), 128) == 0


def test_a_length_that_does_not_divide_is_told() -> None:
    with pytest.raises(ConfigError, match=r"start_length=48 does not divide model\.length=128"):
        _start_rows(Pretrain(start_length=48, start_steps=3), 128)
