"""The best weights are held beside the others, and outlive a kill."""

import torch
from torch import nn

from groundup.optim._average import averaged, take_up
from groundup.optim._best import keep_best, take_best, with_best
from groundup.optim._optimizer import Optimizer
from groundup.optim.adamw import AdamW
from groundup.train.drive import Probe


def made() -> tuple[nn.Linear, Optimizer]:
    layer = nn.Linear(3, 2, bias=False)
    return layer, averaged(with_best(AdamW(lr=0.1).build(layer, {"weight": "matrix"})), 0.5)


def step(layer: nn.Linear, optimizer: Optimizer) -> None:
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer.step(1.0)


def test_the_weights_of_the_lowest_look_come_back() -> None:
    layer, optimizer = made()
    looks = iter([3.0, 1.0, 1.0, 2.0])
    probe = Probe(lambda: next(looks), 1, keep=lambda: keep_best(optimizer))
    seen = []
    for number in range(4):
        step(layer, optimizer)
        seen.append(layer.weight.detach().clone())
        probe.add(number, probe.look())
    assert probe.since_best() == 2 and not probe.stale()
    take_best(optimizer)
    assert torch.equal(layer.weight, seen[1]) and not torch.equal(seen[1], seen[3])


def test_a_look_that_is_no_number_is_never_the_best() -> None:
    probe = Probe(lambda: 0.0, 1, patience=2)
    for step, value in enumerate([float("nan"), 2.0, float("nan")]):
        probe.add(step, value)
    assert probe.since_best() == 1 and not probe.stale()


def test_they_resume_with_the_state_and_beside_a_mean() -> None:
    (layer, optimizer), (other, resumed) = made(), made()
    step(layer, optimizer)
    keep_best(optimizer)
    best = layer.weight.detach().clone()
    step(layer, optimizer)
    other.load_state_dict(layer.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    step(other, resumed)
    take_up(resumed)
    mean = other.weight.detach().clone()
    take_best(resumed)
    assert torch.equal(other.weight, best) and not torch.equal(mean, best)
    assert len(optimizer.moved()) == 1, "what takes note owns no parameter"
