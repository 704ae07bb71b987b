"""Documents that a classifier trained on labelled comments finds toxic."""

from dataclasses import replace

from pydantic import Field

from groundup.corpus.document import Document, Verdict
from groundup.corpus.filters._trained import Trained


class Toxicity(Trained):
    """Labels documents with the probability of being toxic, and drops those over `most`.

    >>> Toxicity(most=0.4).judge(Document("a", "text", "s", "p"))
    Verdict(kept=False, reason='toxic', value=0.5, threshold=0.4)
    """

    most: float = Field(0.5, ge=0, le=1)

    def judge(self, document: Document) -> Verdict:
        """Drop with `toxic`; the value is the probability."""
        score = self.score(document)
        labelled = replace(document, toxicity=score)
        if score > self.most:
            return Verdict(False, "toxic", score, self.most, labelled)
        return Verdict(True, document=labelled)
