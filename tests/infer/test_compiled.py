"""Compiled steps against eager ones: the same tokens, whatever comes and goes."""

import pytest
import torch

from groundup.errors import UnsupportedError
from groundup.events import Silent
from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.infer.speculate import Lookup
from groundup.layers.lora import Lora, adapt
from groundup.layers.quantize import quantize
from groundup.models._base import ModelConfig
from groundup.models.moe import Moe
from groundup.models.speedrun import Speedrun
from infer.test_engine import CONFIGS, LENGTH, SMALL, V, build, requests

ALL = [*CONFIGS, Speedrun(**SMALL)]


def full() -> list[Request]:
    """Replies that fill the context, so that the last step has no program."""
    return [Request([row + 1] * (2 + row), LENGTH, temperature=0.8, seed=row) for row in range(5)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("config", ALL, ids=lambda config: config.name)
def test_a_compiled_engine_says_what_an_eager_one_says(config: ModelConfig) -> None:
    model = build(config)
    eager, compiled = Engine(model, rows=3), Engine(model, rows=3, compiled=Silent())
    for asked in (requests, full):
        for one, other in zip(compiled.complete(asked()), eager.complete(asked()), strict=True):
            assert one.ids == other.ids and one.stopped == other.stopped
            assert one.logps == pytest.approx(other.logps, abs=1e-4)
    with pytest.raises(UnsupportedError, match="keeps its weights"):
        compiled.refresh(model)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_changed_models_and_drafts_are_compiled_too() -> None:
    for model in (quantize(build(), "int8"), quantize(build(), "int4")):
        eager, compiled = Engine(model, rows=2), Engine(model, rows=2, compiled=Silent())
        assert [c.ids for c in compiled.complete(full())] == [c.ids for c in eager.complete(full())]
    guessing = Engine(build(), rows=1, draft=Lookup(), compiled=Silent())
    asked = [Request([1, 2, 3] * 4, 18, temperature=0)]
    assert guessing.complete(asked)[0].ids == Engine(build(), rows=1).complete(asked)[0].ids


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_bfloat16_the_likelihoods_stay() -> None:
    model = build()
    compiled = Engine(model, rows=2, dtype=torch.bfloat16, compiled=Silent())
    said = compiled.complete(full())
    scores = Engine(model, rows=2, dtype=torch.bfloat16)
    for request, completion in zip(full(), said, strict=True):
        ids = torch.tensor([[*request.prompt, *completion.ids]])
        with torch.no_grad():
            logp = scores.model.score(ids[:, :-1], ids[:, 1:]).logp[0, len(request.prompt) - 1 :]
        torch.testing.assert_close(torch.tensor(completion.logps), logp, atol=0.1, rtol=0.05)


def test_what_differs_by_token_is_refused() -> None:
    adapted = build()
    adapt(adapted, Lora())
    for model in (Moe(**SMALL).build(V), adapted):
        with pytest.raises(UnsupportedError, match="cannot be compiled"):
            Engine(model, rows=2, compiled=Silent())
