"""Laws of the loop: cutting a step changes nothing; the same run repeats, and a resume goes on, to the bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from groundup.config import Folder
from groundup.errors import StoreError
from groundup.mesh import Mesh
from groundup.models._base import Model
from groundup.optim.adamw import AdamW
from groundup.optim.muon import Muon
from groundup.tokens.pack import Row
from groundup.train import checkpoint
from groundup.train.batch import Batch
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.precision import Precision
from groundup.train.schedule import Cosine, Pace, Wsd
from groundup.train.trainer import Trainer, backward
from train import toy

OPTIMIZERS = Folder("optim").choices()


def dropping(seed: int = 0) -> Model:
    """A model that draws at random while it trains."""
    net = toy.model(seed)
    net.norm = nn.Sequential(net.norm, nn.Dropout(0.2))
    return net


def test_a_model_learns_to_count() -> None:
    losses = [log.metrics["loss"].item() for log in toy.trainer(schedule=Wsd(60, 5, 0.5)).run()]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(3.69, abs=0.15)
    assert losses[-1] < 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_one_step_cut_into_micros_is_the_same_step(optimizer: str, parts: int) -> None:
    optim = Folder("optim").find(optimizer)()
    whole, cut = toy.trainer(optim=optim), toy.trainer(optim=optim, rows_each=8 // parts, accumulate=parts)
    for _ in range(3):
        a, b = whole.step(), cut.step()
        assert (a.count, a.tokens, a.scale) == (b.count, b.tokens, b.scale)
        torch.testing.assert_close(a.metrics["loss"], b.metrics["loss"], atol=1e-4, rtol=1e-4)
        assert a.norm == pytest.approx(b.norm, rel=1e-3)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_cutting_a_step_moves_the_gradient_by_rounding_only(parts: int) -> None:
    def gradient(cuts: int) -> torch.Tensor:
        net, whole = toy.model(), toy.batch(8)
        size = 8 // cuts
        micros = [whole.cut(start, start + size) for start in range(0, 8, size)]
        backward(net, Likelihood(), micros, whole.count, Precision("fp32").autocast)
        return torch.cat([weight.grad.flatten() for weight in net.parameters()])

    assert (gradient(1) - gradient(parts)).abs().max() < 3e-7


def test_the_loss_is_divided_once_by_the_weights_of_the_whole_step() -> None:
    """Micros of very different counts: a mean of means would be far off."""
    net, whole = toy.model(), toy.batch(4)
    weights = torch.zeros_like(whole.weights)
    weights[0], weights[3, 0] = 1.0, 1.0
    uneven = Batch(**{**whole.tensors(), "weights": weights}, count=17.0)

    class Fixed:
        def __iter__(self) -> Any:
            while True:
                yield from (uneven.cut(0, 2), uneven.cut(2, 4))

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: Any) -> None: ...

    log = toy.trainer(of=net, feed=Fixed(), accumulate=2).step()
    scores = toy.model().score(whole.tokens, whole.targets, positions=whole.positions, segments=whole.segments)
    assert log.count == 17.0
    torch.testing.assert_close(log.metrics["loss"], (-(scores.logp * weights).sum() / 17.0).detach())


def test_what_has_no_weight_teaches_nothing() -> None:
    """Other targets under weight zero give the same gradient to the bit."""

    def gradient(changed: bool) -> list[torch.Tensor]:
        net, given = toy.model(), toy.batch(8)
        targets = torch.where(given.weights == 0, 7, given.targets) if changed else given.targets
        micro = Batch(**{**given.tensors(), "targets": targets}, count=given.count)
        backward(net, Likelihood(), [micro], micro.count, Precision("fp32").autocast)
        return [weight.grad for weight in net.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradient(False), gradient(True), strict=True))


@pytest.mark.parametrize("make", [toy.model, dropping])
def test_the_same_run_twice_is_bitwise_equal(make: Any) -> None:
    first, second = toy.trainer(of=make()), toy.trainer(of=make())
    for a, b in zip(first.run(), second.run(), strict=True):
        assert torch.equal(a.metrics["loss"], b.metrics["loss"]) and a.norm == b.norm
        torch.rand(3)  # what the caller draws between two steps changes nothing
    assert toy.same(first.model, second.model)


def test_dropout_differs_between_steps_and_between_seeds() -> None:
    def losses(seed: int, lr: float = 1e-12) -> list[float]:
        feed = Conversations(toy.rows(8), 8, seed=0)
        trainer = toy.trainer(of=dropping(), feed=feed, optim=AdamW(lr=lr), seed=seed)
        return [trainer.step().metrics["loss"].item() for _ in range(3)]

    assert len(set(losses(0)) | set(losses(1))) == 6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_killed_run_ends_with_the_same_weights_to_the_bit(optimizer: str, precision: Any, tmp_path: Path) -> None:
    def fresh() -> Trainer:
        optim = Folder("optim").find(optimizer)()
        return toy.trainer(of=dropping(), optim=optim, precision=Precision(precision), rows_each=5, accumulate=2)

    whole = fresh()
    logs = list(whole.run())
    for save_at in (1, 7, 13):
        killed = fresh()
        while killed.done < save_at:
            killed.step()
        checkpoint.save(tmp_path, killed.done, {"trainer": killed.state()})
        killed.step()  # work that is lost
        resumed = fresh()
        resumed.step()  # and a trainer that has already gone elsewhere
        state = checkpoint.load(tmp_path)
        assert state is not None
        resumed.restore(state["trainer"])
        rest = list(resumed.run())
        assert [log.done for log in rest] == list(range(save_at + 1, 21))
        assert [log.norm for log in rest] == [log.norm for log in logs[save_at:]]
        assert toy.same(resumed.model, whole.model)


def test_a_state_of_another_model_or_optimizer_is_refused() -> None:
    other = toy.trainer(optim=Muon())
    other.step()
    with pytest.raises(StoreError, match="optimizer state"):
        toy.trainer(optim=AdamW()).restore(other.state())
    with pytest.raises(StoreError, match="is not of this model"):
        toy.trainer(of=dropping()).restore(other.state())


def test_a_step_that_overflows_is_skipped_and_the_run_goes_on() -> None:
    class Spiky(Likelihood):
        def __call__(self, scores: Any, batch: Batch) -> Any:
            total, metrics = super().__call__(scores, batch)
            return total * (float("inf") if int(batch.tokens[0, 0]) % 3 == 0 else 1.0), metrics

    trainer = toy.trainer(objective=Spiky())
    applied = []
    for _ in range(12):
        before = [weight.clone() for weight in trainer.model.parameters()]
        log = trainer.step()
        moved = not all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
        assert moved == log.applied
        applied.append(log.applied)
    assert True in applied and False in applied
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_a_run_goes_on_until_its_pace_is_told_the_time() -> None:
    pace = Pace(seconds=30, warmup=2, decay=0.5)
    trainer = toy.trainer(schedule=pace)
    begins = None
    scales = []
    for log in trainer.run():
        scales.append(log.scale)
        pace.observe(log.done, float(log.done))
        if pace.decay_start == log.done:
            begins = checkpoint.weights(trainer.model)
    assert trainer.done == 30 and begins is not None
    assert scales[pace.decay_start] == 1.0 and scales[-1] == pytest.approx(1 / 15)


def test_rates_follow_the_schedule_and_the_log_tells_them() -> None:
    rate = Cosine(10, 2)
    assert [log.scale for log in toy.trainer(schedule=rate).run()] == [rate(step) for step in range(10)]


def test_clipping_can_be_turned_off() -> None:
    free, held = toy.trainer(clip=None, optim=Muon()), toy.trainer(clip=1e-3, optim=Muon())
    assert free.step().norm == held.step().norm


def test_ranks_that_hold_different_rows_divide_by_their_common_count() -> None:
    """A mesh whose sum doubles stands for a second rank with the same rows: the count doubles, the mean stays."""

    class Two(Mesh):
        def sum(self, value: Any, axes: Any) -> Any:
            return value * 2

    alone, together = (
        toy.trainer(clip=None).step(),
        toy.trainer(clip=None, mesh=Two(world=2, data_axes=("shard",))).step(),
    )
    assert together.count == 2 * alone.count
    torch.testing.assert_close(together.metrics["loss"], alone.metrics["loss"])
    assert together.norm == pytest.approx(alone.norm / 2, rel=1e-5)


def test_rows_of_one_segment_take_the_plain_way_through_attention() -> None:
    plain = [
        Row(row.tokens, row.targets, torch.arange(toy.T).numpy(), row.segments * 0, row.weights) for row in toy.rows(8)
    ]
    micro = next(iter(Conversations(plain, 8, seed=0)))
    assert micro.segments is None and micro.positions is None
