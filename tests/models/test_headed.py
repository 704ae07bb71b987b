"""A second head on any model: what it says of packed segments is what it says of each alone; the body is the same."""

import pytest
import torch

from groundup.config import Folder
from groundup.errors import UnsupportedError
from groundup.models._base import Model, ModelConfig
from groundup.models._headed import Headed
from groundup.optim.muon import Muon

V, LENGTHS = 50, (5, 8, 3)


def headed(name: str, outputs: int = 1) -> Headed:
    kind = Folder("models").find(name)
    assert issubclass(kind, ModelConfig)
    return Headed(kind.from_tree({"layers": 2, "dim": 32, "length": 16}).build(V), outputs)


def packed() -> dict[str, torch.Tensor]:
    """One row of three segments, as `score` takes it."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(V, (2, 1, sum(LENGTHS)), generator=generator)
    segments = torch.cat([torch.full((n,), number) for number, n in enumerate(LENGTHS)])[None]
    positions = torch.cat([torch.arange(n) for n in LENGTHS])[None]
    return {"tokens": tokens[0], "targets": tokens[1], "segments": segments, "positions": positions}


@pytest.mark.parametrize("name", Folder("models").choices())
def test_pooled_is_read_at_the_end_of_each_segment(name: str) -> None:
    net, row = headed(name, outputs=3), packed()
    together = net.score(**row, ask=("pooled",)).pooled
    assert together.shape == (1, 3, 3) and together.dtype == torch.float32
    start = 0
    for number, n in enumerate(LENGTHS):
        part = slice(start, start + n)
        alone = net.score(row["tokens"][:, part], row["targets"][:, part], ask=("pooled",)).pooled
        torch.testing.assert_close(together[:, number], alone[:, 0], atol=1e-5, rtol=1e-5)
        start += n


def test_values_come_beside_the_log_probabilities_of_the_body() -> None:
    net, row = headed("qwen3"), packed()
    made = net.score(**row, ask=("value", "entropy"))
    plain = net.body.score(**row, ask=("entropy",))
    assert made.value.shape == made.logp.shape
    assert torch.equal(made.logp, plain.logp) and torch.equal(made.entropy, plain.entropy)
    pooled = net.score(**row, ask=("pooled",)).pooled
    torch.testing.assert_close(made.value[0, LENGTHS[0] - 1], pooled[0, 0, 0])


def test_what_is_not_known_is_refused_by_name() -> None:
    net = headed("qwen3")
    with pytest.raises(UnsupportedError, match="surprise"):
        net.score(**packed(), ask=("value", "surprise"))
    with pytest.raises(UnsupportedError, match="value"):
        net.body.score(**packed(), ask=("value",))


def test_every_parameter_has_a_role_and_an_optimizer() -> None:
    net: Model = headed("qwen3")
    roles = net.roles()
    assert set(roles) == {name for name, _ in net.named_parameters()}
    assert roles["score_head.weight"] == "head" and roles["body.embed_tokens.weight"] == "embedding"
    assert net.flops_per_token(16) == net.body.flops_per_token(16)
    Muon().build(net, roles)
