"""From rewards to advantages: definitions written out, and the ends of the scale."""

import pytest
import torch

from groundup.train.feeds.advantage import adapted_kl, gae, token_rewards, whitened

WEIGHTS = torch.tensor([[0.0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])


def test_the_reward_is_on_the_last_drawn_token_and_the_divergence_on_each() -> None:
    old, ref = torch.full((3, 5), -1.0), torch.full((3, 5), -1.5)
    shaped = token_rewards(torch.tensor([2.0, 3.0, 4.0]), old, ref, WEIGHTS, kl=0.1)
    torch.testing.assert_close(shaped, torch.tensor([[0, -0.05, -0.05, 1.95, 0], [0, 0, 2.95, 0, 0], [0, 0, 0, 0, 0]]))


def test_advantages_are_decayed_sums_of_surprises() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.rand(2, 3, 5, generator=generator).unbind()
    rewards = rewards * WEIGHTS
    advantage, returns = gae(rewards, values, WEIGHTS, discount=0.9, decay=0.8)
    surprises = [rewards[0, t] + 0.9 * (values[0, t + 1] if t < 3 else 0.0) - values[0, t] for t in (1, 2, 3)]
    expected = sum(surprise * 0.72**step for step, surprise in enumerate(surprises))
    assert advantage[0, 1].item() == pytest.approx(expected.item(), rel=1e-5)
    assert advantage[1, 2].item() == pytest.approx((rewards[1, 2] - values[1, 2]).item(), rel=1e-5)
    assert (advantage[WEIGHTS == 0] == 0).all() and (returns[WEIGHTS == 0] == 0).all()
    torch.testing.assert_close((returns - values)[WEIGHTS != 0], advantage[WEIGHTS != 0])


def test_what_a_tool_said_is_passed_over() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.rand(2, 1, 3, generator=generator).unbind()
    whole, _ = gae(rewards, values, torch.ones(1, 3))
    apart = torch.zeros(1, 6)
    places = [1, 3, 4]
    spread_rewards, spread_values, weights = (apart.clone() for _ in range(3))
    spread_rewards[:, places], spread_values[:, places], weights[:, places] = rewards, values, 1.0
    advantage, _ = gae(spread_rewards, spread_values + (weights == 0), weights)
    torch.testing.assert_close(advantage[:, places], whole)
    assert (advantage[weights == 0] == 0).all()


def test_without_decay_the_return_is_the_rest_of_the_rewards() -> None:
    rewards = torch.tensor([[0.0, 1, 2, 3, 0]])
    _, returns = gae(rewards, torch.rand(1, 5), WEIGHTS[:1], discount=1.0, decay=1.0)
    torch.testing.assert_close(returns, torch.tensor([[0.0, 6, 5, 3, 0]]))


def test_whitened_over_what_was_drawn() -> None:
    values = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)) + 7
    white = whitened(values, WEIGHTS)[WEIGHTS != 0]
    assert white.mean().item() == pytest.approx(0, abs=1e-5)
    assert white.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert (whitened(values, WEIGHTS)[WEIGHTS == 0] == 0).all()
    assert whitened(torch.ones(3, 5), WEIGHTS).isfinite().all()


def test_the_hold_tightens_above_the_target_and_loosens_below() -> None:
    assert adapted_kl(0.1, kl=6.0, target=6.0, n=100) == 0.1
    assert adapted_kl(0.1, kl=60.0, target=6.0, n=5000) == pytest.approx(0.11)
    assert adapted_kl(0.1, kl=0.0, target=6.0, n=5000) == pytest.approx(0.09)
