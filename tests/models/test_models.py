"""Configs build what they say, and a model scores what its logits say."""

import pytest
import torch

from groundup.errors import ConfigError, UnsupportedError
from groundup.models._base import ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.llama import Llama
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn

SMALL = {"layers": 2, "dim": 32, "length": 24}
V = 61
ALL: list[ModelConfig] = [
    Gpt2(**SMALL),
    Llama(**SMALL, kv_heads=2),
    Qwen3(**SMALL),
    Rnn(**SMALL, cell="lstm"),
    Rnn(**SMALL, cell="mingru", tied=True),
]
each = pytest.mark.parametrize("config", ALL, ids=lambda config: config.name)


@each
def test_build_depends_on_the_seed_alone(config: ModelConfig) -> None:
    before = torch.get_rng_state()
    one, same, other = (config.build(V, seed) for seed in (3, 3, 4))
    assert torch.get_rng_state().equal(before)
    for name, weight in one.named_parameters():
        assert weight.equal(same.get_parameter(name)) and weight.isfinite().all(), name
    assert any(not weight.equal(other.get_parameter(name)) for name, weight in one.named_parameters())


@each
def test_counts_without_building(config: ModelConfig) -> None:
    model = config.build(V)
    assert config.parameters_count(V) == sum(weight.numel() for weight in model.parameters())
    assert config.flops_per_token(V, 16) == model.flops_per_token(16)


@each
def test_score_says_what_the_logits_say(config: ModelConfig) -> None:
    model = config.build(V)
    tokens, targets = torch.randint(0, V, (2, 3, 20))
    scores = model.score(tokens, targets, ask=("entropy",))
    logps = model.logits(model(tokens)).log_softmax(-1)
    torch.testing.assert_close(scores.logp, logps.gather(-1, targets[..., None])[..., 0])
    torch.testing.assert_close(scores.lse, model.logits(model(tokens)).logsumexp(-1))
    torch.testing.assert_close(scores.entropy, -(logps.exp() * logps).sum(-1))


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_is_near(config: ModelConfig, dtype: torch.dtype) -> None:
    model = config.build(V)
    tokens, targets = torch.randint(0, V, (2, 3, 20))
    exact = model.score(tokens, targets)
    with torch.autocast("cpu", dtype):
        rough = model.score(tokens, targets, ask=("entropy",))
    (-rough.logp.mean()).backward()
    assert rough.logp.dtype == rough.lse.dtype == torch.float32
    torch.testing.assert_close(rough.logp, exact.logp, atol=0.05, rtol=0.01)
    assert all(weight.grad is not None and weight.grad.dtype == torch.float32 for weight in model.parameters())


@each
def test_learns_a_repeated_row(config: ModelConfig) -> None:
    model = config.build(V)
    row = torch.randint(0, V, (1, 17), generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    first = last = 0.0
    for step in range(60):
        loss = -model.score(row[:, :-1], row[:, 1:]).logp.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item(), last) if step == 0 else (first, loss.item())
    assert first == pytest.approx(torch.tensor(float(V)).log().item(), abs=0.3)
    assert last < 0.2


@each
def test_every_parameter_has_one_role(config: ModelConfig) -> None:
    model = config.build(V)
    roles = model.roles()
    assert set(roles) == {name for name, _ in model.named_parameters()}
    assert ("head" in roles.values()) == (not config.tied)
    assert all((role == "vector") == (model.get_parameter(name).ndim == 1) for name, role in roles.items())


def test_what_a_model_cannot_say_is_refused() -> None:
    model = ALL[2].build(V)
    tokens = torch.zeros(1, 4, dtype=torch.int64)
    with pytest.raises(UnsupportedError, match="value"):
        model.score(tokens, tokens, ask=("value",))
    with pytest.raises(UnsupportedError, match="divergence"):
        model.score(tokens, tokens, ask=("divergence",))


@pytest.mark.parametrize(
    "config, fields, message",
    [
        (Qwen3, {"dim": 30, "heads": 4}, "dim=30"),
        (Llama, {"heads": 4, "kv_heads": 3}, "kv_heads=3"),
        (Llama, {"dim": 12, "heads": 4}, "head_dim=3"),
        (Gpt2, {"dim": 30, "heads": 4}, "dim=30"),
    ],
)
def test_heads_that_do_not_divide_are_refused(config: type[ModelConfig], fields: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.from_tree(fields)


def test_flops_of_a_known_shape() -> None:
    """GPT-2 124M at 1024 tokens: 6·(85M in the blocks + 38.6M in the head) + 12·12·768·1024."""
    config = Gpt2(layers=12, dim=768, heads=12, length=1024)
    blocks = 12 * 12 * 768**2
    assert config.parameters_count(50257) == 124_439_808
    assert config.flops_per_token(50257, 1024) == 6 * (blocks + 768 * 50257) + 12 * 12 * 768 * 1024


@pytest.mark.parametrize("start", ["scaled", "zero"])
def test_residual_projections_start_small(start: str) -> None:
    model = Qwen3(**SMALL, residual_init=start).build(V)
    stds = {name: weight.std().item() for name, weight in model.named_parameters() if weight.ndim == 2}
    expected = 0.0 if start == "zero" else 0.02 / 2
    for name, std in stds.items():
        residual = name.endswith(("o_proj.weight", "down_proj.weight"))
        assert std == pytest.approx(expected if residual else 0.02, rel=0.15), name


def test_dropout_is_for_training_alone() -> None:
    model = Gpt2(**SMALL, dropout=0.5).build(V)
    tokens = torch.randint(0, V, (1, 8))
    assert not model.train()(tokens).equal(model(tokens))
    assert model.eval()(tokens).equal(model(tokens))
