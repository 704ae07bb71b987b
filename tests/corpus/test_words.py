"""The short ways of reading a text say what the long ones do."""

import random
from collections import Counter

import numpy as np
import pytest

from groundup.corpus.filters.repetition import _heaviest, _repeated_grams, _top_gram
from groundup.corpus.filters.symbols import hash_marks
from groundup.corpus.words import BASE, _cased, folded, lowered, mix, words

ODD = "abcABC İIıßéÉΣσς #\n\t\r\x0b\x1c\xa0\u2003\u3000\x85“”—…Ãâ€™ÐÑЖжÅKⅣⓐ中文한글😀𐐀Āā.,-'"


def test_every_letter_that_has_a_small_form_is_known() -> None:
    known = _cased()
    for code in (code for code in range(0x80, 0x110000) if chr(code).lower() != chr(code)):
        first, second, *_ = chr(code).encode("utf-8", "replace")
        assert known[first, second], hex(code)


@pytest.mark.parametrize("seed", range(50))
def test_texts_are_lowered_and_folded_as_python_does(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choices(ODD[: draw.choice([7, 25, len(ODD)])], k=draw.randrange(200)))
    assert lowered(text) == text.lower().encode()
    assert folded(text) == " ".join(text.lower().split()).encode()
    assert hash_marks(text) == sum(a != "#" and b == "#" for a, b in zip(f" {text}", text, strict=False))


@pytest.mark.parametrize("seed", range(12))
def test_repetition_is_measured_as_by_counting(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices("abcdefgh", k=draw.randrange(1, 7))) for _ in range(draw.choice([3, 30, 300]))]
    row = draw.choices(vocabulary, k=draw.randrange(50, 400))
    split = words(" ".join(row))
    by_word = Counter(row)
    assert _heaviest(split) >= max(len(word) * count for word, count in by_word.items())
    for n in (2, 3, 5, 10):
        grams = [tuple(row[at : at + n]) for at in range(len(row) - n + 1)]
        again = {at + k for at, gram in enumerate(grams) if gram in grams[:at] for k in range(n)}
        assert _repeated_grams(split, n) == sum(len(row[place]) for place in again)
        most = Counter(grams).most_common(1)[0][1]
        tops = []
        for gram in (gram for gram, count in Counter(grams).items() if count == most):
            inside = {at + k for at, other in enumerate(grams) if other == gram for k in range(n)}
            tops.append(sum(len(row[place]) for place in inside))
        assert _top_gram(split, n) in (tops if most > 1 else [0])


def test_a_run_of_words_is_the_polynomial_of_its_words_however_long() -> None:
    split = words(" ".join(f"w{number % 17}" for number in range(60)))
    whole = [int(each) for each in split.hashes]
    for n in (1, 2, 3, 5, 13, 25, 50, 60, 61):
        starts = range(len(whole) - n + 1)
        expected = [sum(whole[at + k] * BASE ** (n - 1 - k) for k in range(n)) % (1 << 64) for at in starts]
        assert split.grams(n).tolist() == mix(np.array(expected, np.uint64)).tolist()
