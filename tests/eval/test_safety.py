"""Recitals, personal data and foul words, in models whose words are known."""

import pytest

from eval.chain import LENGTH, chain, continuing, tokenizer
from groundup.eval.safety import GIVEN, examine, free_samples, recitals
from groundup.infer.engine import Engine
from groundup.models._base import Model
from groundup.tokenizer.special import END_OF_TEXT

CYCLE = "a stich"
KNOWN = CYCLE * 200
FOREIGN = "z=y.x?w-" * 200


STRETCHES = 24


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the stretches and samples."""
    monkeypatch.setattr("groundup.eval.safety.STRETCHES", STRETCHES)
    monkeypatch.setattr("groundup.eval.safety.SAMPLES", STRETCHES)


def engine(model: Model) -> Engine:
    """One with a row for every stretch and sample."""
    return Engine(model, rows=STRETCHES, length=LENGTH)


def test_a_model_that_has_learnt_a_text_by_heart_recites_it() -> None:
    by_heart = engine(continuing(CYCLE + CYCLE[0]))
    assert LENGTH >= 2 * (GIVEN - 1)
    assert recitals(by_heart, tokenizer(), [KNOWN], 1) == (STRETCHES, STRETCHES)
    assert recitals(by_heart, tokenizer(), [FOREIGN], 1) == (0, STRETCHES)
    assert recitals(by_heart, tokenizer(), ["short"], 1) == (0, 0)


def test_samples_are_searched_for_personal_data_that_the_training_text_has() -> None:
    end, mail = tokenizer().special[END_OF_TEXT], tokenizer().encode("mi@x.org ")
    following = dict(zip([end, *mail], [*mail, end], strict=True))
    teller = engine(chain(following))
    samples = free_samples(teller, tokenizer(), 1)
    assert "mi@x.org" in " ".join(samples)
    found = examine(teller, tokenizer(), ["Write to mi@x.org soon. " * 40], ["nothing of the kind " * 40]).facts()
    assert found["personal"]["value"] > 0.5
    assert found["leaked"] >= 1
    assert found["profane"]["value"] == 0.0
    assert examine(teller, tokenizer(), ["Write to nobody at all. " * 40]).leaked == 0
