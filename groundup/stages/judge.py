"""A reward model of another run: how good a reply is, as a number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from groundup.stages._given import open_given
from groundup.stages._measure import scored
from groundup.stages._work import Work

if TYPE_CHECKING:
    from numpy import ndarray

    from groundup.tokenizer.chat import Chat

KIND = "reward"
ROWS = 64
"""Replies that are judged together."""

Answered = tuple[Sequence[int], Sequence[int]]
"""Ids of a prompt, and of a reply with the token that ended it."""


class Judge:
    """The reward model that the run was given, ready to judge."""

    def __init__(self, work: Work, chat: "Chat") -> None:
        from groundup.tokenizer.special import END_OF_TURN, PAD

        self._work, self._unfinished = work, work.recipe.adapt.rollouts.unfinished if work.recipe.adapt else 0.0
        self._end, self._pad = chat.tokenizer.special[END_OF_TURN], chat.tokenizer.special[PAD]
        self._model = open_given(work, KIND, head=True)

    def __call__(self, replies: Sequence[Answered]) -> "ndarray":
        """(n,) the reward of each reply; less for one that did not end its turn, which is judged as if it had."""
        import numpy as np

        order = sorted(range(len(replies)), key=lambda place: len(replies[place][0]) + len(replies[place][1]))
        found = np.zeros(len(replies))
        for first in range(0, len(order), ROWS):
            part = order[first : first + ROWS]
            found[part] = self._judged([replies[place] for place in part])
        return found

    def _judged(self, replies: Sequence[Answered]) -> "ndarray":
        import numpy as np

        from groundup.tokens.pack import padded
        from groundup.train.batch import collate

        ended = [ids[-1:] == [self._end] for _, ids in replies]
        whole = [
            [*prompt, *ids, *([] if done else [self._end]), self._pad]
            for (prompt, ids), done in zip(replies, ended, strict=True)
        ]
        width = max(map(len, whole)) - 1
        rows = [padded([(np.array(ids), np.zeros(len(ids), np.float32))], width, self._pad) for ids in whole]
        scores = scored(self._work, self._model, collate(rows), ("pooled",))
        assert scores.pooled is not None
        rewards = scores.pooled[:, 0, 0].double().cpu().numpy()
        return rewards - self._unfinished * ~np.array(ended)
