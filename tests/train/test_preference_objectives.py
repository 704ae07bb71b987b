"""What the objectives over replies compute, beside their formulas written out for two replies."""

import math
from dataclasses import replace

import pytest
import torch

from groundup.models._base import Scores
from groundup.train.batch import Batch
from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import means, totals
from groundup.train.objectives.dpo import Dpo
from groundup.train.objectives.gspo import Gspo
from groundup.train.objectives.ipo import Ipo
from groundup.train.objectives.kto import Kto
from groundup.train.objectives.orpo import Orpo
from groundup.train.objectives.ppo import Ppo
from groundup.train.objectives.reward import Reward
from groundup.train.objectives.simpo import Simpo

GOOD, BAD = (-0.5, -1.0, -0.3), (-2.0, -0.1)
REF_GOOD, REF_BAD = (-0.7, -1.5, -0.2), (-1.0, -0.4)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def two_replies() -> tuple[Scores, Batch]:
    """A row of a question token, a good reply of 3, another question token and a bad reply of 2."""
    logp = torch.tensor([[-9.0, *GOOD, -9.0, *BAD]], requires_grad=True)
    empty = torch.zeros(1, 7, dtype=torch.int64)
    batch = Batch(
        tokens=empty,
        targets=empty,
        weights=torch.tensor([[0.0, 1, 1, 1, 0, 1, 1]]),
        count=1.0,
        segments=torch.tensor([[0, 0, 0, 0, 1, 1, 1]]),
        ref_logp=torch.tensor([[-5.0, *REF_GOOD, -5.0, *REF_BAD]]),
        pair=torch.zeros(1, 2, dtype=torch.int64),
        segment_weight=torch.tensor([[1.0, -1.0]]),
    )
    return Scores(logp, torch.zeros(1, 7), pooled=torch.tensor([[[0.8], [0.3]]])), batch


AHEAD = sum(GOOD) - sum(REF_GOOD) - (sum(BAD) - sum(REF_BAD))
MEAN_GOOD, MEAN_BAD = sum(GOOD) / 3, sum(BAD) / 2
ODDS = math.log(math.exp(MEAN_GOOD) / (1 - math.exp(MEAN_GOOD)) * (1 - math.exp(MEAN_BAD)) / math.exp(MEAN_BAD))


@pytest.mark.parametrize(
    ("objective", "loss", "margin"),
    [
        (Dpo(beta=0.5), -math.log(sigmoid(0.5 * AHEAD)), 0.5 * AHEAD),
        (
            Dpo(beta=0.5, smoothing=0.2),
            -0.8 * math.log(sigmoid(0.5 * AHEAD)) - 0.2 * math.log(sigmoid(-0.5 * AHEAD)),
            0.5 * AHEAD,
        ),
        (Ipo(beta=0.5), ((0.6 / 3 + 0.7 / 2) - 1.0) ** 2, 0.6 / 3 + 0.7 / 2),
        (
            Simpo(beta=2.0, gamma=0.5),
            -math.log(sigmoid(2 * (MEAN_GOOD - MEAN_BAD) - 0.5)),
            2 * (MEAN_GOOD - MEAN_BAD),
        ),
        (Orpo(odds=0.3), -MEAN_GOOD - 0.3 * math.log(sigmoid(ODDS)), ODDS),
        (Kto(beta=0.5), 2 - sigmoid(0.5 * 0.6) - sigmoid(0.5 * 0.7), 0.5 * 1.3),
        (Reward(), -math.log(sigmoid(0.5)), 0.5),
        (Reward(length_bias=0.1), -math.log(sigmoid(0.5 + 0.1 * 1)), 0.5),
        (Reward(centre=0.2), -math.log(sigmoid(0.5)) + 0.2 * 1.1**2, 0.5),
    ],
    ids=repr,
)
def test_the_loss_of_a_pair(objective: Objective, loss: float, margin: float) -> None:
    total, metrics = objective(*two_replies())
    assert total.item() == pytest.approx(loss, rel=1e-5)
    assert metrics["margin"].item() == pytest.approx(margin, rel=1e-5)


def test_a_margin_is_asked_of_the_reward() -> None:
    made, batch = two_replies()
    total, _ = Reward()(made, replace(batch, margin=torch.tensor([[0.7, 0.0]])))
    assert total.item() == pytest.approx(-math.log(sigmoid(0.5 - 0.7)), rel=1e-5)


def test_before_the_first_step_half_of_the_gradient_is_left() -> None:
    """Policy and reference are the same then, and the margin exactly 0, where a careless softplus has a kink."""
    made, batch = two_replies()
    Dpo(beta=0.5)(made, replace(batch, ref_logp=made.logp.detach().clone()))[0].backward()
    assert made.logp.grad[0].tolist() == [0, -0.25, -0.25, -0.25, 0, 0.25, 0.25]


def test_the_drift_of_kto_is_that_of_the_unjudged_replies_and_has_no_gradient() -> None:
    made, batch = two_replies()
    batch = replace(batch, segment_weight=torch.tensor([[1.0, 0.0]]), ref_logp=batch.ref_logp - 1.0)
    total, metrics = Kto(beta=0.5)(made, batch)
    drift = sum(BAD) - sum(REF_BAD) + 2
    assert metrics["drift"].item() == pytest.approx(drift, rel=1e-5)
    assert total.item() == pytest.approx(1 - sigmoid(0.5 * (0.6 + 3 - drift)), rel=1e-5)
    total.backward()
    assert (made.logp.grad[0, 4:] == 0).all() and (made.logp.grad[0, 1:4] < 0).all()


def test_orpo_stays_finite_for_a_reply_that_is_certain() -> None:
    made, batch = two_replies()
    certain = Scores(torch.zeros(1, 7, requires_grad=True), made.lse)
    total, _ = Orpo()(certain, batch)
    total.backward()
    assert total.isfinite() and certain.logp.grad.isfinite().all()


@pytest.mark.parametrize(
    ("old", "value", "loss", "moves"),
    [(0.5, 0.5, 0.125, True), (0.0, 1.3, 0.32, False), (0.0, -0.5, 1.125, True)],
)
def test_a_value_gains_nothing_beyond_the_clip(old: float, value: float, loss: float, moves: bool) -> None:
    """The return is 1. From an old value of 0 the value 1.3 counts as 0.2, for that is the greater error."""
    made = Scores(*torch.zeros(2, 1, 1), value=torch.tensor([[value]], requires_grad=True))
    one = torch.ones(1, 1)
    batch = Batch(
        tokens=one.long(), targets=one.long(), weights=one, count=1.0, old_logp=0 * one, advantage=0 * one,
        returns=one, old_value=one * old,
    )  # fmt: skip
    total, metrics = Ppo(value_weight=2.0, value_clip=0.2)(made, batch)
    assert metrics["value_loss"].item() == pytest.approx(loss, rel=1e-5)
    total.backward()
    assert total.item() == pytest.approx(2 * loss, rel=1e-5)
    assert (made.value.grad.item() != 0) == moves


def test_gspo_has_one_ratio_a_reply() -> None:
    made, batch = two_replies()
    batch = replace(batch, old_logp=made.logp.detach() - 0.1, advantage=torch.full((1, 7), 2.0))
    batch.old_logp[0, 5] += 0.3
    total, metrics = Gspo(clip_low=0.5, clip_high=0.5)(made, batch)
    ratios = math.exp(0.1), math.exp((-0.2 + 0.1) / 2)
    assert total.item() == pytest.approx(-2 * (3 * ratios[0] + 2 * ratios[1]), rel=1e-5)
    assert metrics["clipped"] == 0
    assert Gspo(clip_low=0.5, clip_high=0.01)(made, batch)[1]["clipped"] == 3


def test_totals_sum_what_weighs_in_each_segment() -> None:
    logp, weights = torch.tensor([[-1.0, -math.inf, -4.0, -8.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.5]])
    empty = torch.zeros(1, 4, dtype=torch.int64)
    row = Batch(tokens=empty, targets=empty, weights=weights, count=1.0)
    assert totals(logp, row).tolist() == [[-9.0]]
    halves = replace(row, segments=torch.tensor([[0, 0, 1, 1]]))
    assert totals(logp, halves).tolist() == [[-1.0, -8.0]]
    assert means(logp, halves)[0, 1].item() == pytest.approx(-8 / 1.5)
