"""Laws of every objective in the folder: additive over rows, no gradient where the weight is zero. Their formulas."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from groundup.config import Folder
from groundup.models._base import Scores
from groundup.train.batch import Batch
from groundup.train.objectives._base import Objective
from groundup.train.objectives.classify import Classify
from groundup.train.objectives.distill import Distill
from groundup.train.objectives.dpo import Dpo
from groundup.train.objectives.kto import Kto
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.objectives.policy import Policy
from groundup.train.objectives.ppo import Ppo
from groundup.train.objectives.regress import Regress
from groundup.train.objectives.reward import Reward
from train import toy

NAMES = Folder("train.objectives").choices()
VARIANTS: list[Objective] = [
    *(Folder("train.objectives").find(name)() for name in NAMES),
    Likelihood(z_loss=0.01),
    Policy(kl=0.1),
    Ppo(kl=0.1, entropy=0.01),
    Dpo(smoothing=0.1),
    Reward(length_bias=0.01, centre=0.1),
    Kto(liked=0.7, disliked=1.3),
    Distill(truth=0.5),
]


def scores(batch: Batch, seed: int = 0) -> Scores:
    """Made-up scores near the batch's old ones, ready for gradients."""
    generator = torch.Generator().manual_seed(seed)
    assert batch.old_logp is not None
    B, T = batch.weights.shape

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    made = {
        "logp": (batch.old_logp + 0.3 * noise(B, T)).clamp(max=-0.1),
        "lse": noise(B, T),
        "entropy": noise(B, T).abs(),
        "value": noise(B, T),
        "divergence": noise(B, T).abs(),
        "pooled": noise(B, 2, 3),
    }
    return Scores(**{name: value.requires_grad_() for name, value in made.items()})


def cut(whole: Scores, part: slice) -> Scores:
    return Scores(**{name: value[part] for name, value in vars(whole).items() if value is not None})


@pytest.mark.parametrize("objective", VARIANTS, ids=repr)
def test_the_sum_and_its_metrics_are_additive_over_rows(objective: Objective) -> None:
    batch = toy.batch(8)
    whole = scores(batch)
    total, metrics = objective(whole, batch)
    parts = [
        objective(cut(whole, part), batch.cut(part.start, part.stop))
        for part in (slice(0, 3), slice(3, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(part for part, _ in parts), total)
    assert total.isfinite() and "loss" in metrics
    for name, value in metrics.items():
        torch.testing.assert_close(sum(part[name] for _, part in parts), value)
        assert not value.requires_grad


@pytest.mark.parametrize("objective", VARIANTS, ids=repr)
def test_the_gradient_is_zero_where_the_weight_is_zero_and_only_there(objective: Objective) -> None:
    batch = toy.batch(8)
    assert batch.segment_weight is not None
    # One segment without a verdict, its tokens still weighed, and one without a trained token.
    batch.segment_weight[6] = 0.0
    batch.weights[7, :8] = 0.0
    made = scores(batch)
    idle = batch.weights == 0
    # Far from the data on idle tokens: overflow there must not leak through 0 * inf either.
    with torch.no_grad():
        for name in ("logp", "value", "entropy", "divergence"):
            getattr(made, name)[idle] = math.inf if name != "logp" else 500.0
    total, _ = objective(made, batch)
    total.backward()
    moved = {name: value.grad for name, value in vars(made).items() if value is not None and value.grad is not None}
    assert moved
    for name, grad in moved.items():
        assert grad.isfinite().all()
        if name == "pooled":
            assert (grad[6] == 0).all() and (grad[:6, :, 0] != 0).float().mean() > 0.5
        else:
            assert (grad[idle] == 0).all()
            assert (grad[~idle] != 0).float().mean() > 0.5


def test_likelihood_is_the_cross_entropy() -> None:
    net, batch = toy.model(), toy.batch(4)
    made = net.score(batch.tokens, batch.targets, positions=batch.positions, segments=batch.segments)
    total, metrics = Likelihood()(made, batch)
    logits = net.logits(net(batch.tokens, positions=batch.positions, segments=batch.segments))
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none")
    torch.testing.assert_close(total, (losses * batch.weights.flatten()).sum())
    assert metrics["loss"] == total


def test_regress_is_half_the_squared_error_of_the_judged() -> None:
    pooled = torch.tensor([[[1.0], [5.0], [7.0]]])
    made = Scores(*torch.zeros(2, 1, 4), pooled=pooled)
    zeros = torch.zeros(1, 4)
    batch = Batch(
        zeros.long(), zeros.long(), zeros, 2.0,
        segment_weight=torch.tensor([[1.0, 1.0, 0.0]]), number=torch.tensor([[2.0, 3.0, 0.0]]),
    )  # fmt: skip
    total, metrics = Regress()(made, batch)
    assert total.item() == pytest.approx(0.5 * (1 + 4)) and metrics["error"].item() == pytest.approx(3.0)


def test_classify_is_the_cross_entropy_of_the_classes() -> None:
    batch = toy.batch(4)
    made = scores(batch)
    total, metrics = Classify()(made, batch)
    assert made.pooled is not None and batch.label is not None
    losses = torch.nn.functional.cross_entropy(made.pooled.flatten(0, 1), batch.label.flatten(), reduction="sum")
    torch.testing.assert_close(total, losses)
    assert metrics["accuracy"] == (made.pooled.argmax(-1) == batch.label).sum()


def one_token(ahead: float, advantage: float, behind: float = 0.0) -> tuple[Scores, Batch]:
    """One token whose log-ratio to the old policy is `ahead`, and of the reference to it `behind`."""
    logp = torch.tensor([[-1.0]], requires_grad=True)
    batch = Batch(
        tokens=torch.zeros(1, 1, dtype=torch.int64),
        targets=torch.zeros(1, 1, dtype=torch.int64),
        weights=torch.ones(1, 1),
        count=1.0,
        old_logp=torch.tensor([[-1.0 - ahead]]),
        ref_logp=torch.tensor([[-1.0 + behind]]),
        advantage=torch.tensor([[advantage]]),
    )
    return Scores(logp, torch.zeros(1, 1)), batch


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [
        (1.0, 2.0, -2.0, True),
        (1.1, 2.0, -2.2, True),
        (1.5, 2.0, -2.4, False),
        (0.5, 2.0, -1.0, True),
        (0.5, -2.0, 1.6, False),
        (1.5, -2.0, 3.0, True),
    ],
)
def test_the_ratio_is_clipped_where_it_has_gone_far_enough(
    ratio: float, advantage: float, loss: float, moves: bool
) -> None:
    made, batch = one_token(math.log(ratio), advantage)
    total, metrics = Policy(clip_low=0.2, clip_high=0.2)(made, batch)
    assert total.item() == pytest.approx(loss, rel=1e-5)
    total.backward()
    assert (made.logp.grad.item() != 0.0) == moves
    assert metrics["clipped"].item() == float(not moves)


def test_the_divergence_from_the_reference_is_k3() -> None:
    made, batch = one_token(0.0, 0.0, behind=0.7)
    total, metrics = Policy(kl=2.0)(made, batch)
    assert metrics["kl"].item() == pytest.approx(math.exp(0.7) - 0.7 - 1, rel=1e-5)
    total.backward()
    assert made.logp.grad.item() == pytest.approx(2.0 * (1 - math.exp(0.7)), rel=1e-5)


def test_what_no_policy_drew_is_a_demonstration() -> None:
    batch = replace(toy.batch(), old_logp=None, advantage=None)
    logp = torch.randn(batch.weights.shape, requires_grad=True)
    total, metrics = Policy(kl=0.1)(Scores(logp=logp, lse=torch.zeros_like(logp)), batch)
    total.backward()
    assert logp.grad is not None and torch.equal(logp.grad, -batch.weights)
    assert set(metrics) == {"rehearsed"}


def test_an_objective_is_chosen_by_the_name_of_its_file() -> None:
    assert {"likelihood", "policy"} <= set(NAMES)
    assert Folder("train.objectives").read({"name": "policy", "kl": 0.5}) == Policy(kl=0.5)
