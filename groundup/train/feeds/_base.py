"""What a feed is."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from groundup.train.batch import Batch


class Feed(Protocol):
    """An endless source of batches."""

    def __iter__(self) -> Iterator[Batch]:
        """Batches from where the feed stands."""

    def state(self) -> dict[str, Any]:
        """Where the feed stands, as values and tensors, counted from the consumer's side."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where `state` says: the next batch is the one that would have come."""
