"""Logits to a token: what is drawn, what is cut, and that a seed and a place decide."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from groundup.errors import ConfigError
from groundup.infer.sampling import (
    Sampling,
    _draw,
    _left,
    _pick,
    _probabilities,
    likeliest,
    penalized,
    sample,
    uniforms,
)

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


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1e-300),
        Sampling(temperature=1e-6),
        Sampling(top_p=1e-300),
        Sampling(top_k=10**30, top_p=1e-9),
        Sampling(min_p=1.0),
    ],
)
def test_extreme_values_take_the_likeliest(sampling: Sampling) -> None:
    logits = torch.tensor([[900.0, -900.0, 901.0, 0.0, -torch.inf]]).expand(3, 5)
    tokens, _ = sample(logits, [sampling] * 3, np.array([0.0, 0.5, 1 - 2**-24], np.float32))
    assert tokens.tolist() == [2, 2, 2]
    assert sample(logits, [Sampling(temperature=1e300)] * 3, np.zeros(3, np.float32))[0].tolist() == [0, 0, 0]


def test_what_is_cut_is_what_a_stable_sort_would_cut_whatever_else_is_in_the_batch() -> None:
    V = 3000
    logits = (3 * torch.randn(8, V, generator=torch.Generator().manual_seed(0))).bfloat16().float()  # many ties
    samplings = [
        Sampling(top_k=50), Sampling(top_k=200, temperature=0.7), Sampling(top_p=0.95), Sampling(top_p=0.5),
        Sampling(top_k=40, top_p=0.9), Sampling(), Sampling(top_p=0.999), Sampling(top_k=2000, min_p=1e-4),
    ]  # fmt: skip
    together = cut(logits, samplings)
    for row, sampling in enumerate(samplings):
        whole = _probabilities(logits[row : row + 1], [replace(sampling, top_k=None, top_p=None)])[0]
        order = whole.sort(stable=True, descending=True).indices.tolist()
        before, kept = 0.0, []
        for rank, token in enumerate(order):
            if rank >= (sampling.top_k or V) or (rank and before >= (sampling.top_p or 2.0) * float(whole.sum())):
                break
            before += float(whole[token])
            kept += [token] * bool(whole[token] > 0)
        here = together[row].nonzero()[:, 0].tolist()
        assert abs(len(here) - len(kept)) <= 1, "sums are rounded"
        assert set(here) <= set(kept) or set(kept) <= set(here)
        assert len(kept) == len(here) or sampling.top_p is not None
        torch.testing.assert_close(cut(logits[row : row + 1], [sampling])[0], together[row], atol=0, rtol=0)


@pytest.mark.parametrize("ties", [False, True])
def test_a_token_is_drawn_from_a_few_as_from_all(ties: bool) -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(8, 3000)
    logits = logits.round() if ties else logits
    cold, cool = Sampling(temperature=0), Sampling(top_k=40, top_p=0.9)
    samplings = [Sampling(top_k=50), cool, Sampling(top_p=0.95), cold, Sampling(top_p=0.3), *[cool] * 3]
    probs = _probabilities(logits, samplings)
    for seed in range(50):
        uniform = uniforms([seed] * 8, range(8))
        few, all_ids = _pick(probs, samplings, uniform), _draw(cut(logits, samplings), torch.from_numpy(uniform))
        hot = torch.tensor([bool(sampling.temperature) for sampling in samplings])
        assert few[hot].equal(all_ids[hot])


def cut(logits: torch.Tensor, samplings: list[Sampling]) -> torch.Tensor:
    probs = _probabilities(logits, samplings)
    for row, sampling in enumerate(samplings):
        if not sampling.free:
            ids, left = _left(probs[row : row + 1], [sampling], looked=probs.shape[-1])
            probs[row] = torch.zeros_like(probs[row]).index_add(0, torch.from_numpy(ids[0]), torch.from_numpy(left[0]))
    return probs


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


def test_penalties_are_those_of_transformers_and_of_openai() -> None:
    transformers = pytest.importorskip("transformers")
    logits = torch.tensor([[1.5, -0.5, 0.25, -2.0, 3.0]])
    prompt, reply = [0, 1], [1, 3, 3]
    expected = transformers.RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([prompt + reply]), logits.clone())
    assert penalized(logits, [Sampling(repetition_penalty=1.7)], [prompt], [reply]).equal(expected)
    both = Sampling(presence_penalty=0.5, frequency_penalty=0.25, bias={4: -100.0, 2: 1.0})
    expected = logits - torch.tensor([[0, 0.75, -1.0, 1.0, 100.0]])
    torch.testing.assert_close(penalized(logits, [both], [prompt], [reply]), expected)


def test_penalties_touch_their_own_row_and_cost_nothing_unused() -> None:
    logits = PROBS.log().expand(2, 5)
    plain, biased = Sampling(), Sampling(bias={2: 100.0})
    assert penalized(logits, [plain, plain], [[1], [1]], [[2], [2]]) is logits
    changed = penalized(logits, [plain, biased], [[1], [1]], [[2], [2]])
    tokens, logps = sample(logits, [plain, biased], np.array([0.99, 0.99], np.float32), changed)
    assert tokens.tolist() == [4, 2]
    torch.testing.assert_close(logps, PROBS[tokens].log(), msg="log-probabilities stay the model's own")


def test_the_likeliest_come_first_with_their_log_probability() -> None:
    found = likeliest(PROBS.log() + 3, 2)
    assert [token for token, _ in found] == [1, 3]
    assert [logp for _, logp in found] == pytest.approx([np.log(0.4), np.log(0.3)], abs=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.5},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"repetition_penalty": float("nan")},
        {"presence_penalty": float("nan")},
        {"frequency_penalty": float("-inf")},
        {"bias": {3: float("nan")}},
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Sampling(**fields)  # type: ignore[arg-type]
