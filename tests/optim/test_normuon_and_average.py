"""What NorMuon and the running mean of weights do to single matrices."""

import pytest
import torch
from torch import Tensor, nn

from groundup.optim._average import averaged, take_up
from groundup.optim._orthogonal import orthogonal
from groundup.optim.adamw import AdamW
from groundup.optim.muon import Muon
from groundup.optim.normuon import NorMuon


def moved(config: Muon, weight: Tensor, gradient: Tensor) -> Tensor:
    """By how much one step moves a weight."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.clone())
    layer.weight.grad = gradient.clone()
    config.build(layer, {"weight": "matrix"}).step(1.0)
    return layer.weight.detach() - weight


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_rows_of_a_first_step_are_even_and_its_length_is_that_of_muon(shape: tuple[int, int]) -> None:
    gradient = drawn(*shape) * torch.linspace(0.1, 3.0, shape[0])[:, None]
    plain = moved(Muon(iterate_in="fp32", decay=0.0), torch.zeros(shape), gradient)
    even = moved(NorMuon(iterate_in="fp32", decay=0.0), torch.zeros(shape), gradient)
    assert even.norm() == pytest.approx(float(plain.norm()), rel=1e-5)
    rows = even.norm(dim=1)
    torch.testing.assert_close(rows, rows.mean().expand(len(rows)), rtol=1e-4, atol=0)
    torch.testing.assert_close(torch.sign(even), torch.sign(plain))


def test_the_decay_acts_only_where_the_step_agrees_with_it() -> None:
    weight, gradient = drawn(16, 16), drawn(16, 16, seed=2)
    without = moved(NorMuon(lr=0.1, iterate_in="fp32", decay=0.0), weight, gradient)
    cautious = moved(NorMuon(lr=0.1, iterate_in="fp32", decay=0.5), weight, gradient)
    plain = moved(NorMuon(lr=0.1, iterate_in="fp32", decay=0.5, cautious=False), weight, gradient)
    towards_zero = without * weight < 0
    torch.testing.assert_close(cautious, without - 0.05 * weight * towards_zero)
    torch.testing.assert_close(plain, without - 0.05 * weight, atol=1e-5, rtol=1e-5)
    assert 0.2 < towards_zero.float().mean() < 0.8


def test_the_iteration_is_muons() -> None:
    gradient = drawn(8, 8)
    step = moved(Muon(lr=1.0, momentum=0.0, nesterov=False, decay=0.0, iterate_in="fp32"), torch.zeros(8, 8), gradient)
    torch.testing.assert_close(step, -orthogonal(gradient[None])[0])


def test_the_mean_is_that_of_the_weights_after_each_step() -> None:
    layer, decay = nn.Linear(3, 2, bias=False), 0.7
    optimizer = averaged(AdamW(lr=0.1).build(layer, {"weight": "matrix"}), decay)
    mean, counted = torch.zeros(2, 3), 0.0
    for number in range(5):
        layer.weight.grad = drawn(2, 3, seed=number)
        optimizer.step(1.0)
        mean, counted = decay * mean + (1 - decay) * layer.weight.detach(), decay * counted + (1 - decay)
    last = layer.weight.detach().clone()
    take_up(optimizer)
    torch.testing.assert_close(layer.weight.detach(), mean / counted)
    assert not torch.equal(layer.weight, last)


def test_the_mean_resumes_with_the_state() -> None:
    layers = [nn.Linear(3, 2, bias=False) for _ in range(2)]
    first, second = (averaged(AdamW(lr=0.1).build(layer, {"weight": "matrix"}), 0.9) for layer in layers)
    for number in range(4):
        if number == 2:
            layers[1].load_state_dict(layers[0].state_dict())
            second.load_state_dict(first.state_dict())
        for layer, optimizer in list(zip(layers, (first, second), strict=True))[: 1 if number < 2 else 2]:
            layer.weight.grad = drawn(2, 3, seed=number)
            optimizer.step(1.0)
    for optimizer in (first, second):
        take_up(optimizer)
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_without_a_mean_nothing_changes() -> None:
    layer = nn.Linear(3, 2, bias=False)
    optimizer = AdamW().build(layer, {"weight": "matrix"})
    assert averaged(optimizer, 0.0) is optimizer
    before = layer.weight.detach().clone()
    take_up(optimizer)
    assert torch.equal(layer.weight, before)
