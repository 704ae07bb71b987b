"""GRPO: groups, advantages, roll-outs that survive a resume, and a reward that rises."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from groundup.errors import ConfigError, DataError
from groundup.models._base import Model
from groundup.train.batch import Batch
from groundup.train.feeds._order import seed_of
from groundup.train.feeds.rollouts import Complete, Rollouts, Sampled, advantages, lay_out
from groundup.train.objectives.policy import Policy
from groundup.train.schedule import Wsd
from train import toy


@dataclass
class Answer:
    ids: Sequence[int]
    logps: Sequence[float]
    stopped: bool = True
    told: Sequence[int] = ()
    """Places of the ids that the model did not draw."""

    @property
    def drawn(self) -> list[bool]:
        return [place not in self.told for place in range(len(self.ids))]


def sampler(net: Model, length: int = 3) -> Complete:
    """Draws `length` tokens from the live model for prompts of one length, each by its own seed."""

    def complete(prompts: list[list[int]], seeds: list[int]) -> list[Answer]:
        ids, drawn = torch.tensor(prompts), []
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.no_grad():
            for _ in range(length):
                logp = net.logits(net(ids))[:, -1].log_softmax(-1)
                chosen = torch.stack(
                    [torch.multinomial(row.exp(), 1, generator=own) for row, own in zip(logp, generators, strict=True)]
                )
                ids = torch.cat([ids, chosen], dim=1)
                drawn.append(logp.gather(1, chosen))
        answers = zip(ids[:, -length:].tolist(), torch.cat(drawn, dim=1).tolist(), strict=True)
        return [Answer(tokens, logps) for tokens, logps in answers]

    return complete


def feed_of(net: Model, *, seed: int = 0, reward=None, reference=None, **sizes: int) -> Rollouts[int]:
    """Questions are single tokens; what is wanted is small numbers."""
    return Rollouts(
        range(1, 9),
        lambda question: [question, 0],
        sampler(net),
        reward or (lambda question, answer: float(np.mean([token < toy.V // 2 for token in answer.ids]))),
        seed=seed,
        reference=reference,
        **{"prompts": 4, "group": 4, "rows": 8, **sizes},
    )


def test_advantages_have_mean_zero_and_deviation_one_and_even_groups_none() -> None:
    rewards = np.array([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1], [0.0, 0.0, 0.0, 1.0]])
    scaled = advantages(rewards)
    np.testing.assert_allclose(scaled[0], [-1, 1, 1, -1])
    assert (scaled[1:3] == 0.0).all()
    np.testing.assert_allclose(scaled.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[[0, 3]].std(1), 1)
    np.testing.assert_allclose(advantages(rewards, scale=False)[3], [-0.25, -0.25, -0.25, 0.75])


def test_a_row_is_its_prompt_its_answer_and_padding() -> None:
    batch = lay_out([[5, 6, 7], [8]], [Answer([1, 2], [-0.1, -0.2]), Answer([3], [-0.3])], np.array([1.5, -1.5]))
    assert batch.tokens.tolist() == [[5, 6, 7, 1], [8, 3, 0, 0]]
    assert batch.targets.tolist() == [[6, 7, 1, 2], [3, 0, 0, 0]]
    assert batch.weights.tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    assert batch.old_logp is not None and batch.advantage is not None
    torch.testing.assert_close(batch.old_logp, torch.tensor([[0, 0, -0.1, -0.2], [-0.3, 0, 0, 0]]))
    assert batch.advantage.tolist() == [[0, 0, 1.5, 1.5], [-1.5, 0, 0, 0]]
    assert batch.count == 3.0


def test_what_a_tool_said_is_read_and_not_learned_from() -> None:
    told = Answer([1, 9, 9, 2], [-0.1, 0.0, 0.0, -0.2], told=(1, 2))
    batch = lay_out([[5, 6]], [told], np.array([1.5]))
    assert batch.tokens.tolist() == [[5, 6, 1, 9, 9]] and batch.targets.tolist() == [[6, 1, 9, 9, 2]]
    assert batch.weights.tolist() == [[0, 1, 0, 0, 1]] and batch.count == 2.0
    assert batch.advantage is not None and batch.advantage.tolist() == [[0, 1.5, 0, 0, 1.5]]


def test_the_old_log_probabilities_are_those_of_the_model_that_scores() -> None:
    net = toy.model()
    batch = next(iter(feed_of(net)))
    scores = net.score(batch.tokens, batch.targets)
    drawn = batch.weights > 0
    torch.testing.assert_close(scores.logp[drawn], batch.old_logp[drawn], atol=1e-5, rtol=1e-5)


def test_a_phase_is_handed_out_whole_and_the_next_asks_other_questions_with_other_seeds() -> None:
    asked: list[tuple[list[list[int]], list[int]]] = []
    net = toy.model()
    draw = sampler(net)

    def complete(prompts: list[list[int]], seeds: list[int]) -> list[Answer]:
        asked.append((prompts, seeds))
        return draw(prompts, seeds)

    feed = Rollouts(
        range(1, 9), lambda q: [q, 0], complete, lambda q, a: float(a.ids[0] % 2), prompts=4, group=4, rows=8, seed=1
    )
    source = iter(feed)
    for _ in range(4):
        next(source)
    assert len(asked) == 2
    assert sorted(prompt[0] for prompts, _ in asked for prompt in prompts[::4]) == list(range(1, 9))
    assert len({seed for _, seeds in asked for seed in seeds}) == 32
    assert asked[0][1][5] == seed_of(1, 1, 1)
    assert set(feed.metrics) == {"reward", "reward_std", "stopped", "even", "length"}
    assert feed.metrics["length"] == 3.0


def test_groups_of_one_reward_are_left_out_and_the_rest_is_shared_among_the_batches() -> None:
    answers = iter(range(1 << 20))

    def reward(question: int, answer: Sampled) -> float:
        return float(question % 4 == 1 and next(answers) % 2)

    def ask(**more) -> tuple[Rollouts[int], list[Batch]]:
        feed = feed_of(toy.model(), prompts=8, group=4, rows=8, reward=reward, **more)
        source = iter(feed)
        return feed, [next(source) for _ in range(4)]

    feed, batches = ask()
    assert feed.metrics["even"] == 0.75
    assert [len(batch.tokens) for batch in batches] == [2, 2, 2, 2]
    for batch in batches:
        assert batch.advantage is not None and (batch.advantage != 0).any(1).all()
        assert batch.count == float(batch.weights.sum())
    _, batches = ask(reference=lambda batch: torch.zeros(batch.tokens.shape))
    assert [len(batch.tokens) for batch in batches] == [8, 8, 8, 8], "a divergence has a gradient everywhere"


def test_unused_rollouts_survive_a_resume_to_the_bit() -> None:
    net = toy.model()
    feed = feed_of(net, rows=4)
    source = iter(feed)
    for _ in range(3):
        next(source)
    state = feed.state()
    again = feed_of(net, rows=4)
    again.restore(state)
    other = iter(again)
    assert again.metrics == feed.metrics
    for _ in range(3):
        a, b = next(source), next(other)
        assert a.count == b.count and a.tensors().keys() == b.tensors().keys()
        assert all(torch.equal(value, b.tensors()[name]) for name, value in a.tensors().items())


def test_reinforcement_raises_the_reward() -> None:
    net = toy.model()
    feed = feed_of(net, prompts=8, group=4, rows=16)
    trainer = toy.trainer(of=net, feed=feed, objective=Policy(), schedule=Wsd(60, 0, 0.3), accumulate=2)
    rewards = []
    for log in trainer.run():
        rewards.append(feed.metrics["reward"])
        assert log.metrics["clipped"] == 0.0, "a phase of one step is on-policy"
    assert np.mean(rewards[:3]) < 0.7
    assert np.mean(rewards[-3:]) > 0.95


def test_equal_rewards_move_nothing() -> None:
    net = toy.model()
    feed = feed_of(net, reward=lambda question, answer: 1.0, rows=16)
    log = toy.trainer(of=net, feed=feed, objective=Policy()).step()
    assert log.norm == 0.0
    assert feed.metrics["even"] == 1.0


def test_the_reference_is_asked_for_what_was_drawn() -> None:
    net, frozen = toy.model(), toy.model(seed=1)

    def reference(batch) -> torch.Tensor:
        with torch.no_grad():
            return frozen.score(batch.tokens, batch.targets).logp

    feed = feed_of(net, reference=reference)
    batch = next(iter(feed))
    torch.testing.assert_close(batch.ref_logp, reference(batch))
    log = toy.trainer(of=net, feed=feed, objective=Policy(kl=0.1)).step()
    assert log.metrics["kl"] > 0


def test_what_cannot_be_rolled_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 roll-outs do not divide into batches of 7"):
        feed_of(toy.model(), rows=7)
    with pytest.raises(DataError, match="no question"):
        Rollouts([], lambda q: [0], lambda p, s: [], lambda q, a: 0.0, prompts=1, group=2, rows=2, seed=0)


def test_an_engine_answer_is_what_is_asked_for() -> None:
    answer: Sampled = Answer([1], [-0.5], stopped=False)
    assert (answer.ids, answer.stopped) == ([1], False)
