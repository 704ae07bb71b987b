"""Drafts: whatever they guess, the reply stays the same, and good guesses save passes."""

from collections.abc import Sequence

import pytest
import torch

from groundup.errors import ConfigError, UnsupportedError
from groundup.infer.engine import Completion, Engine
from groundup.infer.schedule import Draft, Request, Ticket
from groundup.infer.speculate import DraftModel, Lookup
from groundup.layers.cache import Cache
from groundup.models._base import Model, ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn

V, LENGTH, ROWS = 40, 48, 3
SMALL = {"layers": 2, "dim": 32, "length": LENGTH}
CONFIGS = [Qwen3(**SMALL, kv_heads=2), Gpt2(**SMALL)]
SOME = [pytest.param(CONFIGS[0], marks=pytest.mark.slow), CONFIGS[1]]


def build(config: ModelConfig = CONFIGS[0], seed: int = 0, sharp: float = 4.0) -> Model:
    """A model that has opinions."""
    model = config.build(V, seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight *= sharp
    return model.eval()


def requests() -> list[Request]:
    """Of all kinds, with prompts that repeat themselves."""
    table = [
        {},
        {"temperature": 0.0},
        {"temperature": 0.5, "top_k": 5},
        {"frequency_penalty": 0.5, "repetition_penalty": 1.2},
        {"top": 2, "bias": {3: 2.0}},
        {"stop": frozenset({1, 2, 3})},
        {"stop_strings": ("ab",)},
        {"temperature": 0.0},
    ]
    return [
        Request([(i + j) % 5 for j in range(4 + 3 * i)], 40 if i % 2 else 11, seed=i, **options)
        for i, options in enumerate(table)
    ]


class Oracle:
    """Knows every reply, and lies at every third place."""

    def __init__(self, replies: Sequence[Completion]) -> None:
        self.replies = [completion.ids for completion in replies]

    def check(self, model: Model, cache: Cache) -> None:
        """Fits everything."""

    def propose(self, tickets: Sequence[Ticket], most: Sequence[int]) -> list[list[int]]:
        """The truth, now and then."""
        guesses = [self.replies[ticket.request.seed][len(ticket.ids) :][:6] for ticket in tickets]
        return [[(token + (place % 3 == 2)) % V for place, token in enumerate(guess)] for guess in guesses]


def drafts(config: ModelConfig, plain: Sequence[Completion]) -> list[Draft]:
    near = build(config)
    with torch.no_grad():
        for weight in near.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    models = [build(config), near, build(config, seed=5)]
    return [Lookup(), Lookup(shortest=1), Oracle(plain), *(DraftModel(m, rows=ROWS, length=LENGTH) for m in models)]


@pytest.mark.parametrize("config", SOME, ids=lambda config: getattr(config, "name", None))
def test_a_reply_is_the_same_whatever_was_guessed(config: ModelConfig) -> None:
    model, table = build(config), [bytes([97 + token % 26]) for token in range(V)]
    plain = Engine(model, rows=ROWS, table=table).complete(requests())
    for draft in drafts(config, plain):
        engine = Engine(model, rows=ROWS, table=table, draft=draft)
        for _ in range(2):  # the second time in rows that others have used
            for before, after in zip(plain, engine.complete(requests()), strict=True):
                assert (after.ids, after.stopped) == (before.ids, before.stopped)
                assert after.logps == pytest.approx(before.logps, abs=1e-4)
                assert [len(top) for top in after.tops] == [len(top) for top in before.tops]


def passes(engine: Engine, asked: Sequence[Request]) -> int:
    """How often the engine's model is asked."""
    calls: list[int] = []
    hook = engine.model.embedding.register_forward_hook(lambda module, inputs, output: calls.append(1))
    engine.complete(asked)
    hook.remove()
    return len(calls)


def test_good_guesses_save_passes() -> None:
    model, asked = build(), [Request([1, 2, 3, 4], 32, temperature=0.0)]
    slow = passes(Engine(model, rows=1), asked)
    assert slow == 32
    assert passes(Engine(model, rows=1, draft=DraftModel(build(), rows=1, length=LENGTH)), asked) <= 12
    (said,) = Engine(model, rows=1).complete(asked)
    told = [Request([1, 2, 3, 4, *said.ids[:10], 1, 2, 3, 4], 10, temperature=0.0)]
    again = Engine(model, rows=1).complete(told)[0].ids
    assert passes(Engine(model, rows=1, draft=Oracle([Completion(again, [], False)])), told) < 10


def test_lookup_finds_what_followed_before() -> None:
    ticket = Ticket(0, Request([1, 2, 3, 9, 8, 7, 1, 2], 20), 20)
    lookup = Lookup(tokens=3)
    assert lookup.propose([ticket], [9]) == [[3, 9, 8]]
    assert lookup.propose([ticket], [2]) == [[3, 9]]
    ticket.add(3, 0.0)
    assert lookup.propose([ticket], [9]) == [[9, 8, 7]]
    ticket.add(5, 0.0)
    assert lookup.propose([ticket], [9]) == [[]]


def test_events_tell_each_token_once_and_the_end_last() -> None:
    plain = Engine(build(), rows=ROWS, table=[b"."] * V).complete(requests()[:6])
    engine = Engine(build(), rows=ROWS, table=[b"."] * V, draft=Oracle(plain))
    numbers = [engine.submit(request) for request in requests()[:6]]
    told: dict[int, list[int]] = {number: [] for number in numbers}
    done = []
    while engine.busy:
        for event in engine.step():
            assert event.request_id not in done
            told[event.request_id].append(event.token)
            done += [event.request_id] if event.done else []
    assert [told[number] for number in numbers] == [completion.ids for completion in plain]
    stream = Engine(build(), rows=1, draft=Oracle(plain)).stream(requests()[1])
    assert [event.token for event in stream] == plain[1].ids


def test_drafts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="cannot go back"):
        Engine(Rnn(**SMALL).build(V), rows=1, draft=Lookup())
    with pytest.raises(UnsupportedError, match="cannot go back"):
        DraftModel(Rnn(**SMALL).build(V), rows=1, length=LENGTH)
    with pytest.raises(ConfigError, match="same tokenizer"):
        Engine(build(), rows=1, draft=DraftModel(CONFIGS[0].build(V + 1), rows=1, length=LENGTH))
    with pytest.raises(ConfigError, match="rows"):
        Engine(build(), rows=2, draft=DraftModel(build(), rows=1, length=LENGTH))
