"""Precision: fp32 weights under a narrower forward pass, one overflow decision, a global norm held at its limit."""

import pytest
import torch
from torch import nn

from groundup.errors import ConfigError
from groundup.mesh import Mesh
from groundup.train.precision import Precision
from train import toy


def with_gradients(*values: list[float]) -> nn.ParameterList:
    weights = nn.ParameterList([nn.Parameter(torch.zeros(len(value))) for value in values])
    for weight, value in zip(weights, values, strict=True):
        weight.grad = torch.tensor(value)
    return weights


def gradients(weights: nn.ParameterList) -> list[list[float]]:
    return [weight.grad.tolist() for weight in weights]


def test_the_global_norm_is_held_at_the_limit() -> None:
    weights = with_gradients([3.0, 0.0], [4.0])
    assert Precision("fp32").finish(weights, 1.0, Mesh()) == (True, 5.0)
    torch.testing.assert_close(torch.cat([weight.grad for weight in weights]), torch.tensor([0.6, 0.0, 0.8]))


@pytest.mark.parametrize("clip", [None, 6.0])
def test_below_the_limit_gradients_are_left_as_they_are(clip: float | None) -> None:
    weights = with_gradients([3.0, 0.0], [4.0])
    assert Precision("bf16").finish(weights, clip, Mesh()) == (True, 5.0)
    assert gradients(weights) == [[3.0, 0.0], [4.0]]


def test_fp16_gradients_are_unscaled_before_they_are_clipped() -> None:
    precision = Precision("fp16")
    weights = with_gradients([3.0 * precision.scale], [4.0 * precision.scale])
    good, norm = precision.finish(weights, 2.5, Mesh())
    assert good and norm == 5.0
    assert gradients(weights) == [[1.5], [2.0]]


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_is_not_good(name: str, value: float) -> None:
    good, _ = Precision(name).finish(with_gradients([1.0], [value]), 1.0, Mesh())
    assert not good


def test_the_scale_halves_at_an_overflow_and_doubles_after_a_good_while() -> None:
    precision = Precision("fp16")
    start = precision.scale
    precision.finish(with_gradients([float("inf")]), 1.0, Mesh())
    assert precision.scale == start / 2
    for _ in range(precision.GROWTH - 1):
        precision.finish(with_gradients([1.0]), 1.0, Mesh())
    assert precision.scale == start / 2
    precision.finish(with_gradients([1.0]), 1.0, Mesh())
    assert precision.scale == start


def test_the_state_goes_on() -> None:
    first, second = Precision("fp16"), Precision("fp16")
    for value in (1.0, float("inf"), 1.0):
        first.finish(with_gradients([value]), 1.0, Mesh())
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict() != Precision("fp16").state_dict()


def test_training_that_cannot_go_on_says_so() -> None:
    precision = Precision("bf16")
    with pytest.raises(ConfigError, match="'bf16'; lower the learning rate"):
        for _ in range(precision.PATIENCE):
            precision.finish(with_gradients([float("nan")]), 1.0, Mesh())


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_a_model_learns_in_every_precision_and_its_weights_stay_fp32(name: str) -> None:
    trainer = toy.trainer(precision=Precision(name))
    losses = [log.metrics["loss"].item() for log in trainer.run()]
    assert losses[-1] < 0.6 * losses[0]
    assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}
    reference = toy.trainer().step()
    assert losses[0] == pytest.approx(reference.metrics["loss"].item(), rel=1e-2)


def test_narrow_gradients_are_near_the_wide_ones() -> None:
    norms = {name: toy.trainer(precision=Precision(name)).step().norm for name in ("fp32", "bf16", "fp16")}
    assert norms["bf16"] == pytest.approx(norms["fp32"], rel=0.03)
    assert norms["fp16"] == pytest.approx(norms["fp32"], rel=0.01)
