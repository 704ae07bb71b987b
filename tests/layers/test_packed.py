"""Packed products against the Linears that they are made of."""

import copy

import pytest
import torch
from torch import nn

from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.layers.lora import Lora, adapt
from groundup.layers.packed import Packed, pack, packable, products
from groundup.models._base import Model
from groundup.models._headed import Headed
from groundup.models._taught import Taught
from groundup.models.gpt2 import Gpt2
from groundup.models.llama import Llama
from groundup.models.speedrun import Speedrun

pytestmark = pytest.mark.skipif(
    not packable(torch.zeros(1, dtype=torch.bfloat16)), reason="this processor has no bfloat16 products in oneDNN"
)


def in_bfloat16(model: Model) -> Model:
    return model.to(torch.bfloat16).requires_grad_(False).eval()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_joined_linears_give_what_each_gives(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linears = [nn.Linear(48, n_out, bias).to(torch.bfloat16) for n_out in (64, 32, 40)]
    x = torch.randn(*shape, 48).to(torch.bfloat16)
    with torch.no_grad():
        for ours, theirs in zip(products(x, *[Packed.of(linears)] * 3), products(x, *linears), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("config", [Llama, Gpt2, Speedrun])
def test_a_packed_model_says_the_same(config: type[Llama | Gpt2 | Speedrun]) -> None:
    model = in_bfloat16(config(layers=2, dim=64, heads=2, length=16).build(96, seed=1))
    packed = copy.deepcopy(model)
    packed.pack()
    tokens = torch.arange(20).view(2, 10)
    with torch.inference_mode():
        caches = [each.new_cache(2, 16) for each in (model, packed)]
        for start, stop in ((0, 8), (8, 9), (9, 10)):
            ours, theirs = (
                each.logits(each(tokens[:, start:stop], cache=cache))
                for each, cache in zip((packed, model), caches, strict=True)
            )
            torch.testing.assert_close(ours, theirs, atol=5e-2, rtol=5e-2)
    assert packed.packed_head is not None and any(type(part) is Packed for part in packed.modules())


def made_of(kind: str) -> Model:
    model = Llama(layers=2, dim=64, heads=2, length=16, tied=False, residual_init="scaled").build(96, seed=1)
    if kind == "headed":
        return Headed(model)
    if kind == "taught":
        return Taught(model, copy.deepcopy(model))
    adapt(model, Lora(rank=4, dora=kind == "dora"))
    return model


@pytest.mark.parametrize("kind", ["headed", "taught", "lora", "dora"])
def test_a_model_with_more_around_it_generates_in_bfloat16(kind: str) -> None:
    model = made_of(kind).eval()
    narrow = in_bfloat16(copy.deepcopy(model))
    engine = Engine(model, rows=1, length=16, dtype=torch.bfloat16)
    assert any(type(part) is Packed for part in engine.model.modules())
    tokens = torch.arange(10)[None]
    with torch.inference_mode():
        ours, theirs = (each.logits(each(tokens)) for each in (engine.model, narrow))
    torch.testing.assert_close(ours, theirs, atol=5e-2, rtol=5e-2)
    assert len(engine.complete([Request([3, 4, 5], 4)])[0].ids) == 4


def test_other_weights_are_left_alone() -> None:
    model = Llama(layers=1, dim=64, heads=2, length=16).build(96, seed=1).eval()
    model.pack()
    assert model.packed_head is None and all(type(part) is not Packed for part in model.modules())
    small = nn.Sequential(nn.Linear(12, 64, dtype=torch.bfloat16))
    pack(small)
    assert type(small[0]) is nn.Linear
