"""Experts: grouped as if each token went alone, counted as what is active, and balanced without a loss of its own."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from groundup.errors import ConfigError, DataError
from groundup.formats._stock import stock_of, weights_in, weights_out
from groundup.layers.moe import Experts, MixtureOfExperts, one_by_one, together
from groundup.mesh import Mesh
from groundup.models.moe import Moe, MoeModel
from groundup.models.qwen3 import Qwen3

V = 61
SMALL = {"layers": 2, "dim": 32, "length": 32}


def alive(module: torch.nn.Module) -> torch.nn.Module:
    """Weights that all matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0.0, 0.2, generator=generator)
    return module.double()


def test_each_token_gets_what_its_own_experts_say() -> None:
    layer = alive(MixtureOfExperts(dim=8, hidden=16, experts=5, active=3, shared=2, scale=1.5))
    layer.gate.e_score_correction_bias.copy_(torch.tensor([0.3, -0.3, 0.1, 0.0, 0.2]))
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    out = layer(x)
    for row, place in ((0, 0), (1, 6), (0, 4)):
        one = x[row, place]
        scores = torch.sigmoid(layer.gate.weight @ one)
        chosen = (scores + layer.gate.e_score_correction_bias).argsort(descending=True)[:3]
        said = layer.shared_experts(one)
        for number in chosen:
            gate, up, down = (getattr(layer.experts, f"{name}_proj")[number] for name in ("gate", "up", "down"))
            share = 1.5 * scores[number] / scores[chosen].sum()  # the bias chooses and does not weigh
            said = said + share * (down @ (functional.silu(gate @ one) * (up @ one)))
        torch.testing.assert_close(out[row, place], said)


@pytest.mark.skipif(not hasattr(functional, "grouped_mm"), reason="this torch has no grouped product")
@pytest.mark.parametrize("seed", range(3))
def test_grouped_products_equal_those_one_by_one(seed: int) -> None:
    torch.manual_seed(seed)
    experts, n = 4, 60
    matrices = [torch.randn(experts, *shape, requires_grad=True) for shape in ((24, 16), (24, 16), (16, 24))]
    counts = torch.tensor([0, 7, 53, 0]) if seed == 0 else torch.randint(experts, (n,)).bincount(minlength=experts)
    rows, grad = torch.randn(n, 16, requires_grad=True), torch.randn(n, 16)
    found = []
    for way in (one_by_one, together):
        out = way(rows, matrices, counts)
        found.append([out, *torch.autograd.grad(out, [rows, *matrices], grad)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)


def test_rows_that_fill_up_an_expert_count_for_nothing() -> None:
    torch.manual_seed(0)
    matrices = [torch.randn(4, *shape).bfloat16() / 6 for shape in ((48, 32), (48, 32), (32, 48))]
    rows, grad, counts = torch.randn(200, 32).bfloat16(), torch.randn(200, 32).bfloat16(), torch.tensor([1, 0, 64, 135])
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        own = [value.to(dtype).requires_grad_() for value in (rows, *matrices)]
        out = one_by_one(own[0], own[1:], counts)
        found.append([out, *torch.autograd.grad(out, own, grad.to(dtype))])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert (one.double() - other).norm() < 1e-2 * other.norm()


def test_no_token_and_no_expert_is_needed() -> None:
    experts = alive(Experts(8, 16, 3))
    weights, chosen = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.int64)
    out = experts(torch.randn(4, 8, dtype=torch.float64), weights, chosen)
    assert out.isfinite().all() and out.abs().sum() > 0
    assert experts(torch.empty(0, 8, dtype=torch.float64), weights[:0], chosen[:0]).shape == (0, 8)


def test_work_counts_the_active_experts_alone() -> None:
    shape = {**SMALL, "layers": 4, "hidden": 96, "expert_hidden": 32, "dense_layers": 1}
    few, many = (Moe(**shape, experts=experts) for experts in (4, 64))
    assert many.parameters_count(V) - few.parameters_count(V) == 3 * (60 * 3 * 32 * 32 + 60 * 32)
    routers = 6 * 3 * 32
    dense = Qwen3(**{**SMALL, "layers": 4, "hidden": 96}).flops_per_token(V, 32)
    assert few.flops_per_token(V, 32) == pytest.approx(dense + 4 * routers)  # 2 chosen and 1 shared of 32 are 96 wide
    assert many.flops_per_token(V, 32) == pytest.approx(dense + 64 * routers)


def test_more_active_experts_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"active=9 of experts=8"):
        Moe.from_tree({"active": 9})


def skewed(balance: float) -> MoeModel:
    """A model whose router favours the first experts, whatever the token."""
    model = Moe(**SMALL, experts=8, balance=balance).build(V)
    with torch.no_grad():
        model.routers[0].e_score_correction_bias += torch.linspace(0.3, 0.0, 8)
    return model


def trained(balance: float, steps: int) -> tuple[float, float, list[float]]:
    """The first loss, the last, and at each step how far the busiest expert was over the mean load (MaxVio)."""
    model = skewed(balance)
    rows = torch.randint(V, (8, 33), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses, over = [], []
    for _ in range(steps):
        loss = -model.score(rows[:, :-1], rows[:, 1:]).logp.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        counts = model.routers[0].counts
        assert counts is not None and counts.sum() == 8 * 32 * 2
        over.append(float(counts.max() / counts.double().mean() - 1))
        model.after_step(Mesh())
        losses.append(loss.item())
    return losses[0], losses[-1], over


def test_it_learns_and_the_bias_evens_the_load() -> None:
    first, last, over = trained(0.01, 80)
    assert first == pytest.approx(4.1, abs=0.1) and last < 0.3
    assert over[0] > 1.5 and max(over[-10:]) < 0.5
    assert min(trained(0.0, 40)[2][-10:]) > 1.0, "without the bias it stays uneven"


def test_ranks_balance_by_what_all_of_them_saw() -> None:
    """Two halves of a batch, their counts summed, move the bias as the whole batch does."""

    class Summed(Mesh):
        def sum(self, value: torch.Tensor, axes: object) -> torch.Tensor:
            return value + other

    tokens = torch.randint(V, (4, 32))
    whole, half = skewed(0.01), skewed(0.01)
    whole.train()(tokens)
    whole.after_step(Mesh())
    half.train()(tokens[2:])
    other = half.routers[0].counts[None].clone()
    half.routers[0].counts = None
    half(tokens[:2])
    half.after_step(Summed())
    assert whole.routers[0].e_score_correction_bias.equal(half.routers[0].e_score_correction_bias)


def test_reading_is_not_counted() -> None:
    model, tokens = skewed(0.01), torch.randint(V, (1, 8))
    model.eval()(tokens)
    with torch.no_grad():
        model.train()(tokens)
    assert model.routers[0].counts is None
    model.after_step(Mesh())


def test_a_file_that_lacks_an_expert_is_refused() -> None:
    model = Moe(**SMALL).build(V)
    stock, path = stock_of(model), Path("model")
    apart = weights_out(model, torch.float32)
    assert "model.layers.1.mlp.experts.7.gate_proj.weight" in apart
    again = weights_in(stock, apart, False, path)
    assert all(value.equal(again[name]) for name, value in model.state_dict().items())
    del apart["model.layers.1.mlp.experts.3.gate_proj.weight"]
    with pytest.raises(DataError, match=r"experts of 'layers.1.mlp.experts.gate_proj' are not all there"):
        weights_in(stock, apart, False, path)
