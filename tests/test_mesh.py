"""One process is a mesh of one."""

import torch

from groundup.mesh import Mesh


def test_a_sum_over_one_process_is_the_value_itself() -> None:
    value = torch.arange(3.0)
    assert Mesh().sum(value, axes=("data",)) is value
    assert Mesh().sum(2.5, axes=()) == 2.5
    assert (Mesh().rank, Mesh().world) == (0, 1)
