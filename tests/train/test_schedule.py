"""The learning rate: a pure function of the step; and the pace of a stage that ends when its seconds are over."""

import json
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from groundup.errors import ConfigError, UnsupportedError
from groundup.train.schedule import Cosine, Pace, Wsd, schedule


def test_cosine_warms_up_peaks_and_falls_to_the_floor() -> None:
    rate = Cosine(steps=100, warmup=10, floor=0.1)
    scales = [rate(step) for step in range(101)]
    assert scales[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert scales[10] == 1.0
    assert scales[55] == pytest.approx(0.55)
    assert scales[100] == scales[-1] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(scales[10:]))
    assert rate.decay_start is None


def test_wsd_warms_up_stays_and_falls_in_a_line() -> None:
    rate = Wsd(steps=100, warmup=4, decay=0.4, floor=0.2)
    assert [rate(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert {rate(step) for step in range(5, 61)} == {1.0}
    assert [rate(step) for step in (70, 80, 90, 100)] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert (rate.decay_start, rate.steps) == (60, 100)


def test_two_fixed_stages_are_the_same_until_the_shorter_decays() -> None:
    short, long = Wsd(100, 10, 0.5), Wsd(200, 10, 0.5)
    assert [short(step) for step in range(short.decay_start + 1)] == [long(step) for step in range(51)]


@pytest.mark.parametrize("rate", [Cosine(3, 20), Wsd(3, 20, 0.5), Wsd(1, 0, 1.0), Cosine(1, 0), Wsd(5, 0, 0.0)])
def test_very_short_stages_stay_within_bounds(rate: Cosine | Wsd) -> None:
    assert all(0.0 <= rate(step) <= 1.0 for step in range(rate.steps + 1))


def run(pace: Pace, speed: Callable[[float], float], done: int = 0, clock: float = 0.0) -> tuple[list[float], float]:
    """Step as the trainer does, each step taking `speed(clock)` seconds; the scales and the clock at the end."""
    scales = []
    while pace.steps is None or done < pace.steps:
        scales.append(pace(done))
        done, clock = done + 1, clock + speed(clock)
        pace.observe(done, clock)
    return scales, clock


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("factor", [0.4, 0.7, 1.5, 2.5])
@pytest.mark.parametrize("step_seconds", [0.05, 0.4])
def test_a_timed_stage_ends_on_time_though_the_speed_changes(at: float, factor: float, step_seconds: float) -> None:
    pace = Pace(seconds=100, warmup=10, decay=0.5)
    scales, clock = run(pace, lambda now: step_seconds * (factor if now > at * 100 else 1.0))
    assert clock == pytest.approx(100, rel=0.02)
    assert scales[-1] < 0.08
    assert all(later <= earlier for earlier, later in pairwise(scales[11:]))


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_clock_with_pauses_is_followed_and_few_knots_are_written(seed: int) -> None:
    noise = random.Random(seed)

    def speed(now: float) -> float:
        pause = 1.0 if noise.random() < 0.01 else 0.0
        return pause + noise.uniform(0.05, 0.15) * (2 if 30 < now < 60 else 1)

    pace = Pace(seconds=100, warmup=10, decay=0.5)
    scales, clock = run(pace, speed)
    assert clock == pytest.approx(100, rel=0.02)
    assert scales[-1] < 0.1
    assert len(pace.knots) < 120


@pytest.mark.parametrize("decay", [0.0, 0.2, 1.0])
def test_other_shares_of_decay(decay: float) -> None:
    pace = Pace(seconds=50, warmup=0, decay=decay, floor=0.1)
    scales, clock = run(pace, lambda now: 0.1)
    assert clock == pytest.approx(50, rel=0.02)
    assert pace.decay_start == pytest.approx(500 * (1 - decay), abs=3)
    assert scales[-1] == pytest.approx(0.1 if decay else 1.0, abs=0.01)


def test_a_decay_that_begins_in_the_warm_up_falls_from_the_peak() -> None:
    rate = Pace(100.0, warmup=10, decay=1.0)
    for step in range(100):
        rate.observe(step + 1, step + 1.0)
    assert rate(0) == pytest.approx(1 / 11)
    assert rate(10) == pytest.approx(0.91, abs=0.01)
    assert max(rate(step) for step in range(100)) == pytest.approx(0.9, abs=0.02)


def test_a_stage_of_a_few_long_steps_ends_at_the_nearest_step() -> None:
    _, clock = run(Pace(seconds=10, warmup=0, decay=0.5), lambda now: 3.0)
    assert clock == 9.0
    _, clock = run(Pace(seconds=10, warmup=0, decay=0.5), lambda now: 50.0)
    assert clock == 50.0


def test_replayed_knots_give_the_same_rates_to_the_bit_on_a_machine_of_another_speed() -> None:
    journal: list[list[float]] = []
    pace = Pace(seconds=100, warmup=10, decay=0.5)
    done, clock = 0, 0.0
    expected = []
    while clock < 85:
        expected.append(pace(done))
        done, clock = done + 1, clock + (0.1 if clock < 70 else 0.23)
        journal += json.loads(json.dumps(pace.observe(done, clock)))
    assert len(journal) > 2, "the change of speed must have bent the decay"
    last_decision = int(journal[-2][0])

    resumed = Pace(seconds=100, warmup=10, decay=0.5, knots=journal)
    saved = pace.decay_start + 5
    assert resumed.decay_start == pace.decay_start
    got = []
    for step in range(saved, last_decision + 1):
        got.append(resumed(step))
        if step < last_decision:
            assert resumed.observe(step + 1, 50.0 + step) == [], "what was decided stays decided"
    assert got == expected[saved : last_decision + 1]
    assert [Pace(100, 10, 0.5, knots=journal)(step) for step in range(len(expected))] == expected


def test_a_resumed_stage_still_ends_on_time() -> None:
    first = Pace(seconds=100, warmup=10, decay=0.5)
    done, clock = 0, 0.0
    while clock < 60:
        done, clock = done + 1, clock + 0.1
        first.observe(done, clock)
    _, clock = run(Pace(100, 10, 0.5, knots=first.knots), lambda now: 0.25, done=done - 20, clock=clock - 2)
    assert clock == pytest.approx(100, rel=0.02)


def test_a_finished_stage_is_extended_from_before_its_decay() -> None:
    first = Pace(seconds=100, warmup=10, decay=0.5)
    clocks = [0.0]
    while first.steps is None or len(clocks) - 1 < first.steps:
        clocks.append(clocks[-1] + 0.1)
        first.observe(len(clocks) - 1, clocks[-1])
    start = first.decay_start
    assert start is not None and first(start) == 1.0
    longer = Pace(seconds=200, warmup=10, decay=0.5)
    scales, clock = run(longer, lambda now: 0.1, done=start, clock=clocks[start])
    assert clock == pytest.approx(200, rel=0.02)
    assert longer.decay_start == pytest.approx(1000, abs=10) and scales[0] == 1.0


def test_the_caller_may_begin_the_decay_early() -> None:
    pace = Pace(seconds=100, warmup=0, decay=0.5)
    for done in range(1, 21):
        pace.observe(done, done * 0.1)
    pace.aim(20, 30)
    assert [pace(step) for step in range(20, 31)] == pytest.approx([1 - step / 10 for step in range(11)])
    assert (pace.decay_start, pace.steps) == (20, 30)


def test_a_fixed_stage_never_looks_at_the_clock() -> None:
    made = schedule("wsd", warmup=2, decay=0.5, floor=0.0, steps=10, seconds=3.0)
    assert isinstance(made, Wsd)
    assert isinstance(schedule("wsd", warmup=2, decay=0.5, floor=0.0, seconds=3.0), Pace)
    assert isinstance(schedule("cosine", warmup=2, decay=0.5, floor=0.0, steps=10), Cosine)


def test_a_timed_cosine_and_a_stage_without_an_end_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"schedule='cosine'.*steps=N"):
        schedule("cosine", warmup=2, decay=0.5, floor=0.0, seconds=3.0)
    with pytest.raises(ConfigError, match="neither steps nor minutes"):
        schedule("wsd", warmup=2, decay=0.5, floor=0.0)


def test_a_stage_that_is_shortened_decays_at_once_and_ends_on_its_new_time() -> None:
    pace = Pace(seconds=100, warmup=0, decay=0.5)
    for done in range(1, 201):
        pace.observe(done, done * 0.1)
    assert pace.shorten(20.0) == 40.0
    _, clock = run(pace, lambda now: 0.1, done=200, clock=20.0)
    assert pace.decay_start == pytest.approx(201, abs=1)
    assert clock == pytest.approx(40, rel=0.02)


def test_a_pace_that_went_back_measures_its_speed_anew() -> None:
    pace = Pace(100.0, 0, 0.5)
    for done in range(1, 41):
        assert pace.observe(done, float(done)) == []
    pace.rewind()
    assert [pace.observe(done, float(done + 10)) for done in range(31, 40)] == [[]] * 9
    begun, end = pace.observe(40, 50.0)
    assert (begun.step, end.step) == (40, 90)
