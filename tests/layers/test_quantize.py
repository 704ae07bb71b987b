"""Weights in few bits: close to what they were, in the bytes that were computed, only where they were asked for."""

import pytest
import torch
from torch import nn

from groundup.errors import UnsupportedError
from groundup.layers.quantize import GROUP, Kind, QuantizedLinear, quantize, rounded, stored_bytes
from groundup.models._base import ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.llama import Llama

SHAPE = {"layers": 2, "dim": 64, "length": 16}


@pytest.mark.parametrize(("kind", "largest", "error"), [("int8", 127, 0.012), ("int4", 7, 0.12)])
def test_weights_come_back_close(kind: Kind, largest: int, error: float) -> None:
    weight = torch.randn(48, 4 * GROUP, generator=torch.Generator().manual_seed(0))
    codes, scale = rounded(weight, kind)
    assert codes.abs().max() <= largest and codes.dtype == torch.int8
    linear = nn.Linear(4 * GROUP, 48)
    with torch.no_grad():
        linear.weight.copy_(weight)
    made = QuantizedLinear.of(linear, kind)
    back = made.weight(torch.float32)
    groups = scale.float().repeat_interleave(weight.shape[1] // scale.shape[1], 1)
    assert back.equal(codes.float() * groups), "packing loses nothing"
    assert (back - weight).norm() / weight.norm() < error
    x = torch.randn(3, 4 * GROUP)
    torch.testing.assert_close(made(x), nn.functional.linear(x, back, linear.bias))
    assert made(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("config", [Llama.from_tree(SHAPE), Gpt2.from_tree(SHAPE)], ids=lambda config: config.name)
def test_a_model_is_wrapped_from_outside_and_its_size_is_as_computed(config: ModelConfig) -> None:
    model = config.build(50).bfloat16().eval()
    matrices = [m for name, m in model.named_modules() if isinstance(m, nn.Linear) and name != "lm_head"]
    n = sum(matrix.weight.numel() for matrix in matrices)
    outputs = sum(matrix.out_features for matrix in matrices)
    whole = stored_bytes(model)
    for kind, held in (("int8", n + 2 * outputs), ("int4", n // 2 + 2 * n // GROUP)):
        made = quantize(model, kind)
        assert stored_bytes(made) == whole - 2 * n + held
        assert made.embedding.weight.equal(model.embedding.weight)
        assert made(torch.tensor([[1, 2]])).isfinite().all()
    assert stored_bytes(model) == whole, "the model itself is left alone"


def test_what_cannot_be_quantized_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=f"groups of {GROUP}"):
        quantize(Llama(layers=1, dim=48, hidden=48, length=8).build(20), "int4")
    with pytest.raises(UnsupportedError, match="nothing to quantize"):
        quantize(nn.Sequential(nn.Linear(4, 4)), "int8")
