"""Packed preferences: verdicts lie on the right tokens, packing changes no loss, a model learns what is preferred."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from groundup.corpus.conversation import Message
from groundup.corpus.preference import Pair, Preference, Thumb
from groundup.errors import DataError
from groundup.models._base import Model
from groundup.models._headed import Headed
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer.characters import Characters
from groundup.tokenizer.chat import Chat
from groundup.train.batch import Batch
from groundup.train.feeds.preferences import (
    PackedPreferences,
    Preferences,
    Unit,
    joined,
    length_bias,
    number_units,
    pair_units,
    verdict_units,
)
from groundup.train.objectives._base import Objective
from groundup.train.objectives.dpo import Dpo
from groundup.train.objectives.kto import Kto
from groundup.train.objectives.reward import Reward
from groundup.train.schedule import Wsd
from train import toy

CHAT = Chat(Characters(vocab_size=300).train(["abcdefghijklmnopqrstuvwxyz .?"]))
CONTEXT, LENGTH = 32, 96


def pair(ask: str, good: str, bad: str) -> Pair:
    return Pair((Message("user", ask),), (Message("assistant", good),), (Message("assistant", bad),))


PAIRS: list[Preference] = [
    pair(f"say {letter}", f"{letter} please", f"no {letter} go away"[: 6 + number])
    for number, letter in enumerate("abcdefgh")
]


def packed(length: int = LENGTH, verdicts: bool = False) -> PackedPreferences:
    units = (verdict_units if verdicts else pair_units)(PAIRS, CHAT)
    return PackedPreferences(units, length, CONTEXT, CHAT.tokenizer.special["<|pad|>"])


def test_what_lies_in_the_rows_is_found_again_in_what_was_offered() -> None:
    units = pair_units([pair("a", "b" * 60, "c"), *PAIRS], CHAT)
    rows = PackedPreferences(units, LENGTH, CONTEXT, CHAT.tokenizer.special["<|pad|>"])
    assert sorted(rows.order) == list(range(1, len(units))), "the first is too long"
    there = [int(batch.segment_weight.abs().sum()) // 2 for batch in rows if batch.segment_weight is not None]
    first = rows.order[: there[0]]
    assert int((rows[0].weights != 0).sum()) == sum(
        int((weights[1:] != 0).sum()) for number in first for _, weights in units[number].replies
    )


def test_numbers_lie_on_the_segments_of_their_texts() -> None:
    units = number_units([("abc", 1.5), ("a longer one", -2.0)], CHAT, CONTEXT)
    (batch,) = PackedPreferences(units, LENGTH, CONTEXT, CHAT.tokenizer.special["<|pad|>"])
    assert batch.number is not None and batch.segment_weight is not None and batch.label is None
    judged = batch.segment_weight[0] != 0
    assert sorted(batch.number[0][judged].tolist()) == [-2.0, 1.5] and batch.count == 2.0


def model(seed: int = 0) -> Model:
    return Qwen3(layers=2, dim=32, heads=2, length=CONTEXT).build(CHAT.tokenizer.vocab_size, seed)


def scored(net: Model, batch: Batch, ask: Any = ()) -> Any:
    return net.score(batch.tokens, batch.targets, positions=batch.positions, segments=batch.segments, ask=ask)


def reference(batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return scored(model(seed=3), batch).logp


def test_only_the_replies_have_weight_and_each_has_its_verdict() -> None:
    (row,) = (packed()[0],)
    for segment in range(int(row.segments.max())):
        here = (row.segments[0] == segment) & (row.weights[0] > 0)
        words = CHAT.tokenizer.decode(row.targets[0, here].tolist())
        assert ("please" in words) == (row.segment_weight[0, segment] > 0)
        assert words.startswith(("no ", *"abcdefgh")) and "say" not in words
        places = (row.segments[0] == segment).nonzero()[:, 0]
        assert row.tokens[0, places[-1]] == CHAT.tokenizer.special["<|end_of_turn|>"]
    assert row.pair[0, :-1].tolist() == sorted([*range(int(row.count))] * 2)


@pytest.mark.parametrize("objective", [Dpo(), Reward()], ids=repr)
def test_packing_changes_neither_the_loss_nor_a_gradient(objective: Objective) -> None:
    def run(length: int) -> tuple[float, torch.Tensor]:
        rows = packed(length)
        rows.refer(reference, rows=3)
        net = Headed(model())
        batch = joined(rows[:])
        assert batch.count == len(PAIRS)
        total, _ = objective(scored(net, batch, objective.asks), batch)
        total.backward()
        return total.item(), torch.cat(
            [weight.grad.flatten() for weight in net.parameters() if weight.grad is not None]
        )

    together, apart = run(LENGTH), run(2 * CONTEXT - 8)
    assert len(packed(LENGTH)) < len(packed(2 * CONTEXT - 8))
    assert together[0] == pytest.approx(apart[0], rel=1e-5)
    assert (together[1] - apart[1]).norm() < 1e-5 * apart[1].norm()


def test_a_verdict_comes_with_a_reply_to_another_question_in_its_row() -> None:
    rows = packed(verdicts=True)
    assert rows.n_units == 2 * len(PAIRS)
    row = rows[0]
    judged, drifting = (row.segment_weight[0, :-1] != 0), (row.segment_weight[0, :-1] == 0)
    assert judged.sum() == drifting.sum() == row.count
    thumbs = [Thumb(PAIRS[0].prompt, PAIRS[0].chosen, True)]
    assert verdict_units(thumbs, CHAT)[0].verdicts == (1.0,)


def test_every_row_once_an_epoch_and_an_exact_place_to_go_on_from() -> None:
    rows = packed(2 * CONTEXT - 8)
    rows.refer(reference, rows=3)
    feed = Preferences(rows, rows=2, seed=1)
    batches = list(islice(feed, len(rows)))
    assert feed.epoch == 2.0 and sum(batch.count for batch in batches) == 2 * len(PAIRS)
    other = Preferences(rows, rows=2, seed=1)
    other.restore({"position": 4})
    resumed = next(iter(other))
    for name, value in batches[2].tensors().items():
        assert torch.equal(resumed.tensors()[name], value), name
    torch.testing.assert_close(resumed.ref_logp, reference(resumed))


def test_a_reference_is_worked_out_once_and_can_be_given_back() -> None:
    rows, again = packed(), packed()
    rows.refer(reference, rows=2)
    again.reference = rows.reference
    assert torch.equal(again[0].ref_logp, rows[0].ref_logp)
    with pytest.raises(AssertionError, match="other rows"):
        again.reference = rows.reference[:-1]


@pytest.mark.parametrize(
    ("objective", "verdicts"), [(Dpo(beta=0.5), False), (Kto(beta=0.5), True), (Reward(), False)], ids=repr
)
def test_a_model_learns_which_reply_is_preferred(objective: Objective, verdicts: bool) -> None:
    rows = packed(verdicts=verdicts)
    rows.refer(reference, rows=4)
    net = Headed(model(seed=3)) if isinstance(objective, Reward) else model(seed=3)
    trainer = toy.trainer(of=net, feed=Preferences(rows, rows=3, seed=0), objective=objective, schedule=Wsd(25, 2, 0.5))
    logs = list(trainer.run())
    assert logs[-1].metrics["accuracy"] > 0.8
    assert logs[-1].metrics["loss"] < logs[0].metrics["loss"]


def test_what_is_too_long_is_left_out_and_counted() -> None:
    rows = PackedPreferences(pair_units([*PAIRS, pair("a" * 40, "b", "c")], CHAT), LENGTH, CONTEXT, pad=0)
    assert rows.n_dropped == 1 and rows.n_units == len(PAIRS)
    with pytest.raises(DataError, match=r"none of 8 preferences fits.*model\.length"):
        PackedPreferences(pair_units(PAIRS, CHAT), LENGTH, 4, pad=0)


def test_a_single_verdict_is_no_pair() -> None:
    with pytest.raises(DataError, match="kto"):
        pair_units([Thumb(PAIRS[0].prompt, PAIRS[0].chosen, True)], CHAT)


def test_the_share_of_length_in_a_preference_is_found() -> None:
    random = np.random.default_rng(0)

    def reply(n: int) -> Any:
        return np.zeros(n + 1, dtype=np.int32), np.array([0.0] + [1.0] * n, dtype=np.float32)

    units = []
    for _ in range(4000):
        a, b = random.integers(1, 60, 2)
        first = random.random() < 1 / (1 + np.exp(-0.05 * (a - b)))
        units.append(Unit((reply(a), reply(b)) if first else (reply(b), reply(a)), (1.0, -1.0)))
    assert length_bias(units) == pytest.approx(0.05, abs=0.005)
    assert length_bias([Unit((reply(5), reply(5)), (1.0, -1.0))]) == 0.0
    assert 0 < length_bias([Unit((reply(9), reply(1)), (1.0, -1.0))] * 50) <= 1.0
