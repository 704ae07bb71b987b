"""One process is a mesh of one."""

import os
import subprocess
import sys

import torch

from groundup.mesh import Mesh, by_whole, local, parts, spread_like, whole
from groundup.stall import STALLED

ALONE = """
import torch
from groundup import mesh
mesh.MEET_SECONDS = 0.5
mesh.Mesh.from_environment()
"""


def test_a_sum_over_one_process_is_the_value_itself() -> None:
    value = torch.arange(3.0)
    assert Mesh().sum(value, axes=("data",)) is value
    assert Mesh().sum(2.5, axes=()) == 2.5
    assert (Mesh().rank, Mesh().world) == (0, 1)


def test_every_collective_of_one_process_is_the_identity() -> None:
    mesh, weights = Mesh(), {"a": torch.ones(2)}
    assert mesh.first and mesh.stream == 0
    assert (mesh.size("shard", "tensor"), mesh.place("shard")) == (1, 0)
    assert mesh.agree("told") == "told" and mesh.any(True) and not mesh.any(False)
    assert mesh.collect(weights)["a"] is weights["a"]
    assert mesh.arrange({"shard": 1}) is mesh
    assert mesh.norm([torch.tensor([3.0]), torch.tensor([4.0])]) == 5.0
    assert Mesh.from_environment() == mesh


def test_a_tensor_that_is_not_spread_is_all_of_itself() -> None:
    value = torch.arange(6.0).view(2, 3)
    assert local(value) is value and whole(value) is value and parts(value) == 1
    copy = spread_like(value, torch.zeros(2, 3, dtype=torch.float64))
    assert copy.dtype == torch.float64 and copy.tolist() == value.tolist()
    assert by_whole(lambda batch: batch * 2, value[None], value).equal(value[None] * 2)


def test_a_rank_that_finds_no_other_ends_itself_to_be_started_again() -> None:
    ranks = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env={**os.environ, **ranks}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == STALLED
    assert "the ranks do not find each other: no progress" in done.stderr
