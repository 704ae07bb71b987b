"""Recompute and offload change where numbers are kept, and no number."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from groundup.models._base import Model, ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.moe import Moe
from groundup.models.qwen3 import Qwen3
from groundup.optim._base import OptimizerConfig
from groundup.optim.adamw import AdamW
from groundup.optim.muon import Muon
from groundup.parallel.offload import offload
from groundup.parallel.recompute import recompute
from groundup.plan.memory import blocks_of

V, T = 61, 24
SMALL = {"layers": 2, "dim": 32, "length": T}


def gradients(model: Model, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """Of one batch; what is drawn at random is drawn from one seed."""
    tokens = torch.randint(0, V, (3, T + 1), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    with torch.autocast("cpu", dtype or torch.float32, enabled=dtype is not None):
        scores = model.train().score(tokens[:, :-1], tokens[:, 1:])
    (-scores.logp.sum()).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", ["selective", "full"])
@pytest.mark.parametrize(
    "config", [Qwen3(**SMALL, kv_heads=2), Gpt2(**SMALL, dropout=0.2), Moe(**SMALL)], ids=lambda c: c.name
)
def test_gradients_are_the_same(config: ModelConfig, kind: Any) -> None:
    plain = config.model_copy(update={"std": 0.2}).build(V).double()
    again = copy.deepcopy(plain)
    names = [name for name, _ in again.named_parameters()]
    for block in blocks_of(again):
        recompute(block, kind)
    assert [name for name, _ in again.named_parameters()] == names and list(again.state_dict()) == list(
        plain.state_dict()
    )
    expected, found = gradients(plain), gradients(again)
    for name, value in expected.items():
        assert float((found[name] - value).norm() / value.norm().clamp_min(1e-30)) < 1e-12, name
    narrow = gradients(again.float().requires_grad_(), torch.bfloat16)
    assert all(value.isfinite().all() for value in narrow.values())


def test_a_copy_recomputes_by_itself_and_generation_is_left_alone() -> None:
    model = Qwen3(**SMALL).build(V)
    recompute(blocks_of(model)[0], "full")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.layers[0].mlp.up_proj.weight.zero_()
        other.layers[0].self_attn.o_proj.weight.fill_(0.1)
    tokens = torch.randint(0, V, (1, 8))
    with torch.inference_mode():
        assert not other(tokens).isclose(model(tokens)).all(), "the copy's block is its own"
        cache = model.new_cache(1, T)
        torch.testing.assert_close(model(tokens, cache=cache), model(tokens))


@pytest.mark.parametrize("optim", [lambda: AdamW(lr=0.01), Muon], ids=["adamw", "muon"])
def test_a_state_that_is_kept_away_gives_the_same_steps(optim: Callable[[], OptimizerConfig]) -> None:
    made = []
    for away in (False, True):
        model = Qwen3(**SMALL).build(V)
        optimizer = optim().build(model, model.roles())
        if away:
            offload(optimizer, "cpu", here_bytes=5000)
        for _ in range(3):
            gradients(model)
            optimizer.step(1.0)
        made.append((dict(model.named_parameters()), optimizer.state_dict(), optimizer))
    (plain, state, _), (again, kept, moved) = made
    assert state.keys() == kept.keys() and all(value.device.type == "cpu" for value in kept.values())
    for name, weight in plain.items():
        torch.testing.assert_close(again[name], weight, atol=1e-6, rtol=1e-5)  # Muon's batches are others
    moved.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in moved.state_dict().items())


@pytest.mark.gpu
def test_a_state_of_a_gpu_lives_on_the_host() -> None:
    model = Qwen3(**SMALL).build(V).cuda()
    optimizer = offload(AdamW(lr=0.01).build(model, model.roles()))
    tokens = torch.randint(0, V, (3, T + 1), device="cuda")
    for _ in range(2):
        model.score(tokens[:, :-1], tokens[:, 1:]).logp.sum().backward()
        optimizer.step(1.0)
    assert {value.device.type for value in optimizer.state_dict().values()} == {"cpu"}
