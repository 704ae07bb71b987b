"""Logits to a token: what is drawn, what is cut, and that a seed and a place decide."""

import numpy as np
import pytest
import torch

from groundup.errors import ConfigError
from groundup.infer.sampling import Sampling, sample, uniforms

PROBS = torch.tensor([0.05, 0.4, 0.05, 0.3, 0.2])


def drawn(sampling: Sampling, n: int = 4000) -> torch.Tensor:
    """The shares of the ids among n draws."""
    logits = PROBS.log().expand(n, 5)
    tokens, _ = sample(logits, [sampling] * n, uniforms(range(n), [0] * n))
    return torch.bincount(tokens, minlength=5) / n


@pytest.mark.parametrize(
    "sampling, expected",
    [
        (Sampling(), PROBS),
        (Sampling(temperature=0), torch.tensor([0, 1.0, 0, 0, 0])),
        (Sampling(temperature=0.5), PROBS**2 / (PROBS**2).sum()),
        (Sampling(top_k=2), torch.tensor([0, 4 / 7, 0, 3 / 7, 0])),
        (Sampling(top_p=0.75), torch.tensor([0, 4 / 9, 0, 3 / 9, 2 / 9])),
        (Sampling(top_p=0.001), torch.tensor([0, 1.0, 0, 0, 0])),
        (Sampling(min_p=0.6), torch.tensor([0, 4 / 7, 0, 3 / 7, 0])),
        (Sampling(min_p=0.4, top_k=1), torch.tensor([0, 1.0, 0, 0, 0])),
    ],
)
def test_draws_have_the_right_shares(sampling: Sampling, expected: torch.Tensor) -> None:
    torch.testing.assert_close(drawn(sampling), expected, atol=0.03, rtol=0)
    assert (drawn(sampling)[expected == 0] == 0).all()


def test_each_row_has_its_own_sampling() -> None:
    samplings = [Sampling(temperature=0), Sampling(top_k=1), Sampling(min_p=1.0), Sampling(temperature=1.5)]
    logits = PROBS.log().expand(4, 5)
    tokens, logps = sample(logits, samplings, np.array([0.99, 0.99, 0.99, 0.0], np.float32))
    assert tokens.tolist() == [1, 1, 1, 0]
    torch.testing.assert_close(logps, PROBS[tokens].log())


def test_the_ends_of_the_unit_interval_draw_possible_ids() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]]).expand(2, 4)
    tokens, _ = sample(logits, [Sampling()] * 2, np.array([0.0, 1 - 2**-24], np.float32))
    assert tokens.tolist() == [1, 2]


def test_uniforms_are_a_function_of_seed_and_place() -> None:
    numbers = uniforms([0, 0, 1, -1, 2**70], [0, 1, 0, 5, 5])
    assert numbers.tolist() == [uniforms([s], [p])[0] for s, p in ((0, 0), (0, 1), (1, 0), (-1, 5), (2**70, 5))]
    assert len(set(numbers.tolist())) == 5


def test_uniforms_are_uniform_and_uncorrelated() -> None:
    by_seed = uniforms(range(20_000), [3] * 20_000)
    by_place = uniforms([3] * 20_000, range(20_000))
    for numbers in (by_seed, by_place):
        assert numbers.min() >= 0 and numbers.max() < 1
        assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx(2000, abs=200)
        assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(by_seed, by_place)[0, 1]) < 0.03


@pytest.mark.parametrize("fields", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.5}, {"min_p": 2}])
def test_values_out_of_range_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Sampling(**fields)  # type: ignore[arg-type]
