"""Documents that hold items of the evaluation sets on which a model will be measured."""

from pydantic import Field

from groundup.corpus.contamination import CONTAMINATED, index
from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.errors import ConfigError


class Contamination(Filter):
    """Drops documents that share a run of 13 words with an item of `sets`, or hold the share `near` of its runs of 8.

    The runs are those of GPT-3 (Brown et al. 2020) and of Tülu 3 (Lambert et al. 2024); 0 for `near` leaves the second
    out. `sets` are JSONL files, plain or compressed.

    >>> Contamination().judge(Document("a", "text", "s", "p")).kept
    True
    """

    sets: tuple[str, ...] = ()
    near: float = Field(0.5, ge=0, le=1)

    def files(self) -> tuple[str, ...]:
        """The sets."""
        return self.sets

    def check(self) -> None:
        """Raises ConfigError where no set is named, DataError for one that cannot be read."""
        if not self.sets:
            raise ConfigError("contamination.sets: name the evaluation sets (JSONL files) to look for")
        index(self.sets)

    def judge(self, document: Document) -> Verdict:
        """Drop with `contaminated`; the value is how many items were found, the detail which: their set and line."""
        hits = index(self.sets).hits(document.text, self.near)
        found = (*hits.exact, *hits.near)
        if not found:
            return KEPT
        return Verdict(False, CONTAMINATED, float(len(found)), 0.0, detail="; ".join(found))
