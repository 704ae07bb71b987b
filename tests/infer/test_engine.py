"""The engine against plain decoding, and everything that can happen to a request."""

import pytest
import torch

from groundup.errors import ConfigError, UnsupportedError
from groundup.infer import schedule
from groundup.infer.engine import Engine, Event
from groundup.infer.schedule import Request
from groundup.models._base import Model, ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn

V, LENGTH = 40, 32
SMALL = {"layers": 2, "dim": 32, "length": LENGTH}
CONFIGS = [Qwen3(**SMALL, kv_heads=2), Gpt2(**SMALL, dropout=0.5), Rnn(**SMALL), Rnn(**SMALL, cell="mingru")]


def build(config: ModelConfig = CONFIGS[0], seed: int = 0) -> Model:
    """A model that has opinions: weights large enough that tokens differ."""
    model = config.build(V, seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight *= 10
    return model


def requests(n: int = 9) -> list[Request]:
    return [
        Request([(7 * i + j) % V for j in range(1 + 3 * i % 11)], 3 + 5 * i % 13, seed=i, stop=frozenset({1, 2, 3}))
        for i in range(n)
    ]


def greedy(model: Model, prompt: list[int], n: int) -> list[int]:
    """The likeliest continuation, the whole row read anew for each token."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model.logits(model(torch.tensor([ids])))[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_equals_plain_greedy_decoding(config: ModelConfig) -> None:
    model = build(config)
    prompts = [[5], [1, 2, 3, 4], [9, 8], [7] * 11]
    out = Engine(model, rows=3, length=LENGTH).complete([Request(p, 12, temperature=0) for p in prompts])
    assert [completion.ids for completion in out] == [greedy(model.eval(), prompt, 12) for prompt in prompts]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_reply_does_not_depend_on_its_neighbours(config: ModelConfig) -> None:
    model = build(config)
    together = Engine(model, rows=4).complete(requests())
    engine = Engine(model, rows=1)
    for request, completion in zip(requests(), together, strict=True):
        alone = engine.complete([request])[0]
        assert alone.ids == completion.ids and alone.stopped == completion.stopped
        assert alone.logps == pytest.approx(completion.logps, abs=1e-4)


def test_logps_are_those_of_score() -> None:
    model = build()
    request = Request([4, 5, 6], 10, temperature=0.7, top_k=9)
    completion = Engine(model, rows=1).complete([request])[0]
    row = torch.tensor([[*request.prompt, *completion.ids]])
    scores = model.score(row[:, :-1], row[:, 1:])
    assert completion.logps == pytest.approx(scores.logp[0, 2:].tolist(), abs=1e-4)


def test_ends_by_stop_by_count_and_by_the_context() -> None:
    engine = Engine(build(), rows=2)
    free = engine.complete([Request([5, 6], 100)])[0]
    assert len(free.ids) == LENGTH - 1 and not free.stopped
    stop = free.ids[4]
    first = free.ids.index(stop)
    cut, stopped = engine.complete([Request([5, 6], first), Request([5, 6], 100, stop=frozenset({stop}))])
    assert cut.ids == free.ids[:first] and not cut.stopped
    assert stopped.ids == free.ids[: first + 1] and stopped.stopped
    assert len(engine.complete([Request([1] * LENGTH, 5)])[0].ids) == 1
    assert not engine.busy


def test_a_stop_string_ends_a_reply_wherever_its_bytes_are_cut() -> None:
    table = [bytes([65 + token // 2, 97 + token % 2]) for token in range(V)]
    engine = Engine(build(), rows=2, table=table)
    free = engine.complete([Request([5, 6], 20)])[0]
    first, second = table[free.ids[3]].decode(), table[free.ids[4]].decode()
    stop = (first + second)[1:3]  # the end of one token and the beginning of the next
    said = b"".join(table[token] for token in free.ids).decode()
    end = (said.index(stop) + len(stop) + 1) // 2
    stopped, beside = engine.complete([Request([5, 6], 20, stop_strings=("zz", stop)), Request([5, 6], 20)])
    assert stopped.ids == free.ids[:end] and stopped.stopped
    assert beside.ids == free.ids and not beside.stopped
    with pytest.raises(ConfigError, match="table"):
        Engine(build(), rows=1).submit(Request([5], 20, stop_strings=("a",)))


def test_alternatives_are_the_likeliest_tokens_of_the_model_itself() -> None:
    model = build()
    request = Request([4, 5, 6], 6, temperature=0.7, seed=3, bias={9: 5.0}, top=3)
    completion = Engine(model, rows=1).complete([request])[0]
    with torch.no_grad():
        logps = model.logits(model(torch.tensor([[*request.prompt, *completion.ids]]))).log_softmax(-1)[0, 2:-1]
    for place, top in enumerate(completion.tops):
        assert [token for token, _ in top] == logps[place].topk(3).indices.tolist()
        assert [logp for _, logp in top] == pytest.approx(logps[place].topk(3).values.tolist(), abs=1e-4)
    assert Engine(model, rows=1).complete([Request([4], 2)])[0].tops == [(), ()]


class Ascending:
    """A guide: each token is larger than the one before, and 1 ends the reply."""

    def __init__(self) -> None:
        self.last = 3

    def allowed(self) -> torch.Tensor:
        allowed = torch.arange(V) > self.last
        allowed[1] = self.last > 30
        return allowed

    def accept(self, token: int) -> None:
        self.last = token


def test_a_guide_bounds_its_own_reply() -> None:
    engine = Engine(build(), rows=2)
    free = engine.complete([Request([5], 20, seed=2)])[0]
    guided, beside = engine.complete(
        [Request([5], 20, seed=2, guide=Ascending(), stop=frozenset({1})), Request([5], 20, seed=2)]
    )
    assert beside.ids == free.ids
    assert guided.stopped and guided.ids[-1] == 1
    assert guided.ids[:-1] == sorted(set(guided.ids[:-1])) and guided.ids[0] > 3


def test_stream_gives_what_complete_gives_whatever_runs_beside_it() -> None:
    engine = Engine(build(), rows=3)
    request, others = requests()[7], requests()[:6]
    expected = engine.complete([request, *others])
    stream = engine.stream(request)
    events = [next(stream)]
    assert [c.ids for c in engine.complete(others)] == [c.ids for c in expected[1:]]
    events += stream
    assert [event.token for event in events] == expected[0].ids
    assert [event.done for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].stopped == expected[0].stopped


def test_steps_give_events_and_cancelled_requests_give_none() -> None:
    engine = Engine(build(), rows=2)
    kept, dropped, waiting = (engine.submit(Request([i], 6, seed=i)) for i in range(3))
    assert {event.request_id for event in engine.step()} == {kept, dropped}
    engine.cancel(dropped)
    engine.cancel(dropped)
    assert {event.request_id for event in engine.step()} == {kept, waiting}
    engine.cancel(waiting)
    late = engine.submit(Request([9], 6, seed=9))
    engine.cancel(late)
    tokens = [event.token for _ in range(4) for event in engine.step()]
    assert len(tokens) == 4 and not engine.busy and engine.step() == []


def test_closing_a_stream_frees_its_row() -> None:
    engine = Engine(build(), rows=1)
    stream = engine.stream(Request([1], 20))
    next(stream)
    stream.close()
    assert not engine.busy


def test_refresh_takes_new_weights_and_refuses_while_requests_run() -> None:
    old, new = build(seed=0), build(seed=1)
    request = Request([3, 4], 10, temperature=0)
    engine = Engine(old, rows=1)
    before = engine.complete([request])[0]
    engine.submit(request)
    with pytest.raises(UnsupportedError, match="still running"):
        engine.refresh(new)
    while engine.busy:
        engine.step()
    engine.refresh(new)
    assert engine.complete([request])[0].ids == greedy(new, [3, 4], 10) != before.ids


def test_weights_are_shared_and_the_model_is_left_alone() -> None:
    model = build(CONFIGS[1]).train()
    engine = Engine(model, rows=1)
    engine.complete([Request([3], 4)])
    assert model.training and all(weight.requires_grad for weight in model.parameters())
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(build(CONFIGS[1], seed=5).get_parameter("wte.weight").mean())
    engine.refresh(model)
    assert engine.complete([Request([3], 4, temperature=0)])[0].ids == greedy(model.eval(), [3], 4)


def test_lower_precision_is_a_copy_and_agrees_with_autocast() -> None:
    model = build()
    completion = Engine(model, rows=2, dtype=torch.bfloat16).complete([Request([3, 4, 5], 12)])[0]
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
    row = torch.tensor([[3, 4, 5, *completion.ids]])
    with torch.autocast("cpu", torch.bfloat16):
        scores = model.score(row[:, :-1], row[:, 1:])
    assert completion.logps == pytest.approx(scores.logp[0, 2:].tolist(), abs=0.15)


def tokens_read(engine: Engine) -> list[int]:
    """The sizes of the passes that the engine's model makes from now on: rows times tokens."""
    sizes: list[int] = []
    engine.model.embedding.register_forward_hook(lambda module, inputs, output: sizes.append(inputs[0].numel()))
    return sizes


def test_prompts_are_read_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Engine(build(), rows=4).complete(requests())
    for name in ("PREFILL_TOKENS", "CHUNK_TOKENS"):
        monkeypatch.setattr(f"groundup.infer.engine.{name}", 12)
    engine = Engine(build(), rows=4)
    sizes = tokens_read(engine)
    assert [c.ids for c in engine.complete(requests())] == [c.ids for c in expected]
    assert max(sizes) <= 12


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_equal_prompts_are_read_once(config: ModelConfig) -> None:
    model = build(config)
    prompts = [[5, 6, 7], [9, 8], [5, 6, 7], [5, 6, 7], [9, 8], [1, 2, 3]]
    asked = [Request(prompt, 12, seed=seed) for seed, prompt in enumerate(prompts)]
    engine = Engine(model, rows=6)
    sizes = tokens_read(engine)
    together = engine.complete(asked)
    assert sizes[:2] == [3 * 3, 6], "three prompts of three tokens, then a token for each of six"
    for request, completion in zip(asked, together, strict=True):
        assert Engine(model, rows=1).complete([request])[0].ids == completion.ids


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_long_prompts_are_read_in_chunks_beside_the_others(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(config)
    asked = [Request([seed % V for seed in range(n)], 9, seed=n) for n in (3, 20, 4, 17, 5)]
    asked += [Request([7] * 18, 4, seed=seed) for seed in range(3)]
    expected = [Engine(model, rows=1).complete([request])[0].ids for request in asked]
    monkeypatch.setattr("groundup.infer.engine.CHUNK_TOKENS", 6)
    monkeypatch.setattr(schedule, "CHUNK_TOKENS", 6)
    engine = Engine(model, rows=3)
    sizes = tokens_read(engine)
    found = engine.complete(asked)
    assert [completion.ids for completion in found] == expected
    assert max(sizes) <= 3 * 6 and sizes.count(6) >= 3 + 2 + 3
    ids = [engine.submit(request) for request in asked]
    engine.step()
    for number in ids[1::2]:
        engine.cancel(number)
    tokens: dict[int, list[int]] = {number: [] for number in ids}
    engine_ids = {event.request_id for _ in range(60) for event in [*note(engine, tokens)]}
    assert engine_ids <= set(ids) and not engine.busy
    assert all(expected[place][-3:] == tokens[ids[place]][-3:] for place in range(0, len(ids), 2))


def note(engine: Engine, tokens: dict[int, list[int]]) -> list[Event]:
    """One step, its tokens written down by request."""
    events = engine.step()
    for event in events:
        tokens[event.request_id].append(event.token)
    return events


def test_others_go_on_while_a_long_prompt_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.infer.engine.CHUNK_TOKENS", 6)
    monkeypatch.setattr(schedule, "CHUNK_TOKENS", 6)
    engine = Engine(build(), rows=2)
    short = engine.submit(Request([1], 20))
    engine.step()
    long = engine.submit(Request([2] * 24, 4))
    seen = [[event.request_id for event in engine.step()] for _ in range(5)]
    assert seen == [[short]] * 3 + [[short, long]] * 2


@pytest.mark.parametrize(
    "request_, message",
    [
        (Request([], 5), "empty"),
        (Request([1] * (LENGTH + 1), 5), f"{LENGTH + 1} tokens"),
        (Request([V], 5), "ids outside"),
        (Request([1], 0), "max_tokens=0"),
        (Request([1], 5, bias={V: 1.0}), "bias has ids"),
    ],
)
def test_requests_that_cannot_run_are_refused(request_: Request, message: str) -> None:
    engine = Engine(build(), rows=1)
    with pytest.raises(ConfigError, match=message):
        engine.submit(request_)
    with pytest.raises(ConfigError, match=message):
        engine.complete([Request([1], 5), request_])
    assert not engine.busy
