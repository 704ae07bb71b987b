"""What the filters share that ask a trained classifier."""

from groundup.corpus.classifier import load
from groundup.corpus.document import Document, Filter
from groundup.errors import ConfigError


class Trained(Filter):
    """A filter with the `file` of a classifier that `groundup corpus train` made."""

    file: str = ""

    def files(self) -> tuple[str, ...]:
        """The `file`, where one is named."""
        return (self.file,) if self.file else ()

    def check(self) -> None:
        """Raises ConfigError where no file is named, DataError when it holds no classifier."""
        if not self.file:
            raise ConfigError(f"{self.name}.file: name the classifier; `groundup corpus train` makes one")
        load(self.file)

    def score(self, document: Document) -> float:
        """The classifier's probability; 0.5 where no file is named."""
        return round(load(self.file).score(document.text), 4) if self.file else 0.5
