"""Weighted conversations to rows of T tokens: several whole ones in a row, no cross-talk, the rest padding."""

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from groundup.errors import DataError
from groundup.tokens.pack import Row, padded


class PackedConversations(Sequence[Row]):
    """Rows of conversations, each one its own segment. Which go together is decided once; a row is built when asked.

    Best fit, longest first: at most 11/9 of the fewest rows (Johnson, Demers, Ullman, Garey & Graham 1974).
    """

    def __init__(self, rendered: Iterable[tuple[Sequence[int], Sequence[float]]], length: int, pad: int) -> None:
        """`rendered` gives ids and the weight of each, as `Chat.render` does; `length` is T; `pad` fills up.

        A conversation longer than T is cut there, and left out when nothing to learn remains. Raises DataError when
        no conversation is left.
        """
        self.length, self._pad = length, pad
        self.n_cut = 0
        """Conversations that were longer than a row."""
        self.n_dropped = 0
        """Conversations left out: nothing to learn from, or only after the cut."""
        self._sequences: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]] = []
        for ids, weights in rendered:
            self.n_cut += len(ids) > length + 1
            kept = np.asarray(weights[: length + 1], dtype=np.float32)
            if not kept[1:].any():
                self.n_dropped += 1
                continue
            self._sequences.append((np.asarray(ids[: length + 1], dtype=np.int32), kept))
        if not self._sequences:
            raise DataError(
                f"none of {self.n_dropped} conversations has a reply within the first {length} tokens; "
                "give shorter ones, or set model.length higher"
            )
        self._rows = best_fit([len(ids) - 1 for ids, _ in self._sequences], length)

    @property
    def n_conversations(self) -> int:
        """Conversations in all rows together."""
        return len(self._sequences)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """A row, or a list of them."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return padded([self._sequences[number] for number in self._rows[index]], self.length, self._pad)


def pack_conversations(
    rendered: Iterable[tuple[Sequence[int], Sequence[float]]], length: int, pad: int
) -> PackedConversations:
    """Rows of T tokens from rendered conversations; see PackedConversations. Raises DataError."""
    return PackedConversations(rendered, length, pad)


def best_fit(sizes: Sequence[int], length: int) -> list[list[int]]:
    """Numbers of the items in each bin: every item, longest first, into the fullest bin that has room for it."""
    bins: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(length + 1)]  # bins by the room that is left in them
    rooms = 0  # bit r is set when some bin has room r, so that the smallest room that fits is one shift away
    for number in sorted(range(len(sizes)), key=lambda item: (-sizes[item], item)):
        size = sizes[number]
        above = rooms >> size
        if above:
            room = size + (above & -above).bit_length() - 1
            chosen = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room, chosen = length, len(bins)
            bins.append([])
        bins[chosen].append(number)
        left = room - size
        with_room[left].append(chosen)
        rooms |= 1 << left
    return bins
