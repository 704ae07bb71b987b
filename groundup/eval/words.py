"""A yardstick for models that tell texts apart: which words a text has, and a straight line between the classes.

TF-IDF over words and pairs of words, and logistic regression: scikit-learn's, so it needs the extra `classify`.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer


def available() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def numbers_by_words(texts: Sequence[str], numbers: Sequence[float], asked: Sequence[str]) -> NDArray[np.float64]:
    """(n,) the number of each text that is asked, by a line through the words of those whose numbers are known.

    Needs scikit-learn.
    """
    from sklearn.linear_model import Ridge

    weights = _vectorizer()
    line = Ridge(alpha=1.0).fit(weights.fit_transform(texts), numbers)
    return np.asarray(line.predict(weights.transform(asked)), dtype=np.float64)


class Words:
    """Which of the labels (two or more) a text has, learned from texts. Needs scikit-learn."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        from sklearn.linear_model import LogisticRegression

        self._weights = _vectorizer()
        self._line = LogisticRegression(C=10.0, max_iter=1000)
        self._line.fit(self._weights.fit_transform(texts), labels)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The likeliest label of each text."""
        return [str(label) for label in self._line.predict(self._weights.transform(texts))]

    def log_odds(self, texts: Sequence[str], label: str) -> NDArray[np.float64]:
        """(n,) how much likelier `label` is than all others together, in nats."""
        place = list(self._line.classes_).index(label)
        share = np.clip(self._line.predict_proba(self._weights.transform(texts))[:, place], 1e-12, 1 - 1e-12)
        return np.asarray(np.log(share) - np.log1p(-share))


def _vectorizer() -> "TfidfVectorizer":
    """Words and pairs of words. Punctuation counts: "!" and "," say as much of a tone as words do."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)
