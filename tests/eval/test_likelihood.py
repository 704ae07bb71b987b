"""Bits per byte: every token once, with its context, over raw bytes; exact for a model whose answer is known."""

from math import log2

import numpy as np
import pytest
import torch

from groundup.errors import DataError
from groundup.eval.likelihood import FEWEST_DOCUMENTS, likelihood, token_bits, windows
from groundup.models._base import Model
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.characters import Characters

CONTEXT = 16
TEXTS = ["a stitch in time saves nine", "naïve café", "", "x", "the end of the affair, and of a long day " * 5]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Characters(vocab_size=280).train(TEXTS)


@pytest.fixture
def model(tokenizer: Tokenizer) -> Model:
    return Qwen3(layers=2, dim=16, heads=2, length=CONTEXT, std=0.4).build(tokenizer.vocab_size, seed=3)


def uniform(model: Model) -> Model:
    with torch.no_grad():
        model.head_weight.zero_()
    return model


@pytest.mark.parametrize("context", [2, 3, 7, 16])
def test_windows_score_every_token_once_with_half_a_window_before_it(context: int) -> None:
    lengths = [1, 2, 3, context, context + 1, context + 2, 5 * context, 100]
    counts = [np.zeros(length - 1, dtype=int) for length in lengths]
    for window in windows(lengths, context):
        assert 0 <= window.length <= context
        counts[window.sequence][window.start + window.first : window.stop] += 1
        assert window.start == 0 or window.first >= context // 2
    assert all((count == 1).all() for count in counts)


def test_a_context_that_cannot_slide_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        windows([5], 1)


def test_a_uniform_model_takes_log2_of_the_vocabulary_for_each_token(model: Model, tokenizer: Tokenizer) -> None:
    found = likelihood(uniform(model), tokenizer, TEXTS, CONTEXT)
    assert found.bits_per_token == pytest.approx(log2(tokenizer.vocab_size), rel=1e-7)
    n_tokens = sum(len(tokenizer.encode(text)) + 1 for text in TEXTS)
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    assert (found.tokens.sum(), found.bytes.sum()) == (n_tokens, n_bytes)
    expected = log2(tokenizer.vocab_size) * n_tokens / n_bytes
    assert found.facts()["value"] == pytest.approx(expected, rel=1e-7)
    assert found.facts()["perplexity"] == pytest.approx(tokenizer.vocab_size)


def test_each_token_is_scored_as_if_alone_in_its_window(model: Model, tokenizer: Tokenizer) -> None:
    sequences = [np.array([0, *tokenizer.encode(text), 0]) for text in TEXTS]
    found = token_bits(model, sequences, CONTEXT, batch_tokens=50)
    expected = [np.full(len(sequence) - 1, np.nan) for sequence in sequences]
    for window in windows([len(sequence) for sequence in sequences], CONTEXT):
        ids = torch.tensor(sequences[window.sequence][window.start : window.stop + 1])
        logits = model.logits(model(ids[None, :-1])).log_softmax(-1)[0]
        logp = logits.gather(1, ids[1:, None])[:, 0].detach().double().numpy()
        expected[window.sequence][window.start + window.first : window.stop] = -logp[window.first :] / np.log(2)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_batching_changes_nothing(model: Model, tokenizer: Tokenizer) -> None:
    alone = likelihood(model, tokenizer, TEXTS, CONTEXT, batch_tokens=1)
    together = likelihood(model, tokenizer, TEXTS, CONTEXT, batch_tokens=100_000)
    assert alone.bits.sum() == pytest.approx(together.bits.sum(), rel=1e-6)


@pytest.mark.parametrize("given", [True, False])
def test_autocast_given_or_around(model: Model, tokenizer: Tokenizer, given: bool) -> None:
    plain = likelihood(model, tokenizer, TEXTS, CONTEXT).bits_per_token
    if given:
        cast = likelihood(model, tokenizer, TEXTS, CONTEXT, dtype=torch.bfloat16).bits_per_token
    else:
        with torch.autocast("cpu", torch.bfloat16):
            cast = likelihood(model, tokenizer, TEXTS, CONTEXT).bits_per_token
    assert cast != plain
    assert cast == pytest.approx(plain, rel=0.02)


def test_the_model_is_left_as_it_was(model: Model, tokenizer: Tokenizer) -> None:
    model.train()
    likelihood(model, tokenizer, TEXTS, CONTEXT)
    assert model.training
    assert all(weight.grad is None and not weight.is_inference() for weight in model.parameters())


def test_many_documents_are_resampled_few_are_cut(model: Model, tokenizer: Tokenizer) -> None:
    few = likelihood(model, tokenizer, TEXTS, CONTEXT)
    many = likelihood(model, tokenizer, TEXTS * 4, CONTEXT)
    assert len(TEXTS) < FEWEST_DOCUMENTS <= len(TEXTS * 4)
    assert few.unit != many.unit
    assert len(many.bits) == len(TEXTS * 4)
    assert few.bits_per_byte.value == pytest.approx(many.bits_per_byte.value)
    for found in (few, many):
        assert found.bits_per_byte.low < found.bits_per_byte.value < found.bits_per_byte.high


@pytest.mark.parametrize("texts", [[], [""]])
def test_nothing_to_score_is_refused(model: Model, tokenizer: Tokenizer, texts: list[str]) -> None:
    with pytest.raises(DataError, match="hold out more"):
        likelihood(model, tokenizer, texts, CONTEXT)
