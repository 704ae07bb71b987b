"""Documents that read like those the user called bad, not like those called good."""

from dataclasses import replace

from pydantic import Field

from groundup.corpus.document import Document, Verdict
from groundup.corpus.filters._trained import Trained


class Quality(Trained):
    """Labels documents with the probability that a trained classifier gives them, and drops those under `least`.

    Such a classifier, good web text against all web text, made most of the difference in DCLM (Li et al. 2024).

    >>> Quality(least=0.6).judge(Document("a", "text", "s", "p"))
    Verdict(kept=False, reason='low_quality', value=0.5, threshold=0.6)
    """

    least: float = Field(0.5, ge=0, le=1)

    def judge(self, document: Document) -> Verdict:
        """Drop with `low_quality`; the value is the probability of "good"."""
        score = self.score(document)
        labelled = replace(document, quality=score)
        if score < self.least:
            return Verdict(False, "low_quality", score, self.least, labelled)
        return Verdict(True, document=labelled)
