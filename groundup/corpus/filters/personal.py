"""Personal data: taken out and a typed placeholder put in its place, or the document dropped."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Literal

from pydantic import Field, field_validator

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.filters._names import KIND, check, names
from groundup.corpus.filters._personal import FINDERS, find
from groundup.errors import ConfigError, nearest


class Personal(Filter):
    """Masks e-mail and IP addresses, phone, card, IBAN and national id numbers, keys and coordinates, as `[EMAIL]`.

    Card and account numbers must pass their checksum (ISO/IEC 7812, ISO 13616); a phone number without an unmistakable
    shape needs a word near it that speaks of telephones; private IP addresses stay. `kinds` may also name `url`, and
    `name`: names of people, which Presidio finds with the spaCy `model` (a package or a folder).

    >>> Personal().judge(Document("a", "Write to ann@example.org or +44 20 7946 0958.", "s", "p")).document.text
    'Write to [EMAIL] or [PHONE].'
    """

    kinds: tuple[str, ...] = ("email", "phone", "ip", "iban", "card", "national_id", "key", "gps")
    action: Literal["mask", "drop"] = "mask"
    model: str = Field("en_core_web_lg", description="for names alone; one that finds PERSON")

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in (*FINDERS, KIND):
                raise ConfigError(f"kinds: there is no kind {kind!r}; {nearest(kind, [*FINDERS, KIND])}")
        return kinds

    def check(self) -> None:
        """Raises UnsupportedError where names are asked for and what finds them is not installed."""
        if KIND in self.kinds:
            check(self.model)

    def judge(self, document: Document) -> Verdict:
        """Drop with `personal_KIND`, the most frequent kind and how often it occurs; or the document with its masks."""
        places = find(document.text, self.kinds, {**FINDERS, KIND: partial(names, model=self.model)})
        if not places:
            return KEPT
        if self.action == "drop":
            kind, count = Counter(kind for _, _, kind in places).most_common(1)[0]
            return Verdict(False, f"personal_{kind}", float(count), 0.0)
        pieces, last = [], 0
        for start, end, kind in places:
            pieces += [document.text[last:start], f"[{kind.upper()}]"]
            last = end
        text = "".join([*pieces, document.text[last:]])
        return Verdict(True, document=replace(document, text=text, masked=document.masked + len(places)))
