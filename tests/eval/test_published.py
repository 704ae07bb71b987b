"""From what a model says of options to scores: forms, ties, samples, and the mean over benchmarks."""

from math import log

import pytest

from groundup.eval.published import FORMS, Marks, centred, choose, judge, read, sample
from groundup.eval.scorer import Said
from groundup.tasks.published._base import Item, Passage

ITEM = Item("1", (("q", " é"), ("q", " four"), ("q", " seven77")), right=0)


def said(*logps: float) -> list[Said]:
    sizes = (1, 1, 2)
    return [Said(logp, False, size, False) for logp, size in zip(logps, sizes, strict=True)]


@pytest.mark.parametrize(
    ("logps", "right"),
    [
        ((-1.0, -3.0, -9.0), {"acc", "acc_norm", "acc_bytes", "acc_token"} - {"acc_norm"}),  # é: 1 character, 2 bytes
        ((-3.0, -2.0, -9.0), set()),
        ((-2.0, -2.0, -9.0), set()),  # a tie is wrong
        ((-1.0, -9.0, -9.0), {"acc", "acc_norm", "acc_bytes", "acc_token"}),
    ],
)
def test_forms_divide_by_their_size_and_ties_are_wrong(logps: tuple[float, ...], right: set[str]) -> None:
    forms = judge(ITEM, said(*logps)).forms
    assert tuple(forms) == FORMS
    sizes = {"acc": (1, 1, 1), "acc_norm": (1, 4, 7), "acc_bytes": (2, 4, 7), "acc_token": (1, 1, 2)}
    by_hand = {
        form
        for form, divisors in sizes.items()
        if logps[0] / divisors[0] > max(logps[1] / divisors[1], logps[2] / divisors[2])
    }
    assert {form for form, value in forms.items() if value == 1.0} == by_hand
    if not right:
        assert "acc" not in by_hand


def test_an_only_option_is_right_when_it_would_be_said() -> None:
    alone = Item("1", (("once upon a", " time"),))
    for greedy in (True, False):
        verdict = judge(alone, [Said(-2.0, greedy, 1, False)])
        assert (verdict.score, verdict.nats, verdict.n_bytes) == (float(greedy), 2.0, 5)


class Liar:
    """Says the first option is the likeliest, whatever it is."""

    def score(self, groups, progress=None):
        return [[Said(-1.0 - place, False, 1, place == 1) for place in range(len(group))] for group in groups]

    def read(self, texts, progress=None):
        return [len(text) * log(2) for text in texts]


def test_facts_tell_groups_cuts_and_what_was_seen_before() -> None:
    items = [
        Item(str(n), (("q", " a"), ("q", " b")), right=n % 2, group="even" if n % 4 < 2 else "odd") for n in range(8)
    ]
    marks = choose(items, "acc", Liar())
    facts = marks.facts(dirty={"0", "2"})
    assert (facts["score"], facts["chance"], facts["n"], facts["cut"]) == (0.5, 0.5, 8, 8)
    assert facts["groups"]["even"]["value"] == 0.5
    assert (facts["clean"]["n"], facts["dirty"]["n"]) == (6, 2)
    assert (facts["dirty"]["value"], facts["clean"]["value"]) == (1.0, pytest.approx(1 / 3))
    assert facts["right_bits_per_byte"]["value"] == pytest.approx(1.5 / 2 / log(2))
    assert marks.columns()["scores"] == [1.0, 0.0] * 4


def test_chance_counts_the_options_of_each_item() -> None:
    items = [Item("0", (("", "a"),) * 4), Item("1", (("", "a"),) * 2), Item("2", (("", "a"),))]
    assert choose(items, "acc", Liar()).chance == pytest.approx((0.25 + 0.5 + 0) / 3)


def test_texts_are_told_over_the_bytes_and_words_they_were_published_with() -> None:
    facts = read([Passage("0", "abcd", 8, 2), Passage("1", "abcdef", 12, 3)], Liar()).facts()
    assert (facts["score"], facts["chance"]) == (0.5, 8.0)
    assert facts["byte_perplexity"] == pytest.approx(2**0.5)
    assert facts["word_perplexity"] == pytest.approx(4.0)


def test_a_sample_is_the_same_for_a_seed_and_keeps_the_order() -> None:
    items = list(range(100))
    drawn = sample(items, 10, 3)
    assert drawn == sample(items, 10, 3) == sorted(drawn)
    assert drawn != sample(items, 10, 4)
    assert sample(items, None, 0) == sample(items, 200, 0) == items


def test_the_mean_puts_chance_at_zero() -> None:
    at_chance = {"score": 0.25, "low": 0.2, "high": 0.3, "chance": 0.25}
    perfect = {"score": 1.0, "low": 1.0, "high": 1.0, "chance": 0.5}
    bits = {"score": 1.0, "low": 0.9, "high": 1.1, "chance": 8.0}
    mean = centred([at_chance, perfect, bits])
    assert mean is not None
    assert mean.value == 0.5
    assert mean.high - mean.low == pytest.approx(0.1 / 0.75 / 2)
    assert centred([bits]) is None


def test_marks_of_one_group_tell_no_groups() -> None:
    verdict = judge(ITEM, said(-1.0, -2.0, -3.0))
    assert "groups" not in Marks([verdict], 0.5, "acc").facts()
