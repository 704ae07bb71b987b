"""Memory that runs out in a step: the same rows in smaller micros, the same gradients, and a word about it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.errors import ResourceError
from groundup.train.backoff import Backoff, cut, out_of_memory
from groundup.train.trainer import backward
from train import toy

ROOT = Path(__file__).resolve().parents[2]


class Small:
    """A machine on which a micro of more than `rows` rows does not fit: PyTorch's own allocator says so."""

    def __init__(self, rows: int) -> None:
        self.rows, self.micros = rows, list[list[int]]()

    def __call__(self, model: Any, objective: Any, micros: Sequence[Any], divisor: float, autocast: Any) -> Any:
        self.micros.append([len(micro.tokens) for micro in micros])
        done = []
        for micro in micros:
            if len(micro.tokens) > self.rows:
                torch.empty(1 << 50)
            done.append(backward(model, objective, [micro], divisor, autocast))
        return {name: sum(each[name] for each in done) for name in done[0]}


def noting(trainer: Any, gradients: list[torch.Tensor]) -> Any:
    """The trainer's optimizer step, which first puts down the gradients that it is given."""
    step = trainer.optimizer.step

    def noted(scale: float, apply: bool = True) -> None:
        gradients.extend(weight.grad.clone() for weight in trainer.model.parameters())
        step(scale, apply)

    return noted


def test_a_step_goes_on_with_smaller_micros_and_equal_gradients() -> None:
    made = []
    for rows in (8, 3):
        trainer = toy.trainer()
        inner, told = Small(rows), list[int]()
        trainer.backward = Backoff(inner, halved=told.append)
        gradients: list[torch.Tensor] = []
        trainer.optimizer.step = noting(trainer, gradients)  # type: ignore[method-assign]
        logs = [trainer.step() for _ in range(2)]
        made.append((gradients, [float(log.metrics["loss"]) for log in logs], inner, told))
    (plain, losses, whole, silent), (again, others, small, told) = made
    assert silent == [] and told == [2, 4]
    assert max(map(max, small.micros[-1:])) <= 3 < max(map(max, whole.micros))
    assert sum(small.micros[-1]) == sum(whole.micros[-1]), "the same rows"
    first = len(plain) // 2
    torch.testing.assert_close(again[:first], plain[:first], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(others, losses, atol=1e-4, rtol=1e-4)  # AdamW makes much of a rounded zero


def test_one_row_too_many_says_what_to_do() -> None:
    trainer = toy.trainer()
    trainer.backward = Backoff(Small(0))
    with pytest.raises(ResourceError, match=r"one row of 16 tokens does not fit in memory .*parallel.recompute=full"):
        trainer.step()
    assert all(weight.grad is None for weight in trainer.model.parameters())


def test_other_errors_are_not_taken_for_it() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not agree")

    with pytest.raises(RuntimeError, match="shapes"):
        Backoff(broken)(toy.model(), None, [toy.batch()], 1.0, None)  # type: ignore[arg-type]
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory")) and out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("no kernel"))


def test_a_batch_is_cut_into_whole_rows() -> None:
    batch = toy.batch(7)
    parts = cut(batch, 4)
    assert [len(part.tokens) for part in parts] == [2, 2, 2, 1]
    assert torch.equal(torch.cat([part.tokens for part in parts]), batch.tokens)
    assert [len(part.tokens) for part in cut(batch, 100)] == [1] * 7


LIMITED = """
import resource, sys
import torch
torch.set_num_threads(1)
from groundup.train.backoff import Backoff
from groundup.train.trainer import backward
from train import toy
from groundup.train.feeds.conversations import Conversations
trainer = toy.trainer(feed=Conversations(toy.rows(2048), 2048, 0))
trainer.step()
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
trainer.backward = Backoff(backward, halved=lambda pieces: print("halved", pieces))
resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[1]), held + int(sys.argv[1])))
print("done", trainer.step().done)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_a_real_limit_is_survived() -> None:
    """The allocator's own error, under a limit that the kernel keeps."""
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(40_000_000)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "halved 2" in done.stdout and "done 2" in done.stdout
