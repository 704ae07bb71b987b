"""A model that learns from another: it scores as it does alone, and says how far it is from its teacher."""

from collections.abc import Collection

import torch
from torch import Tensor

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.divergence import divergence
from groundup.models._around import Around
from groundup.models._base import Model, Scores


class Taught(Around):
    """`body`, beside a teacher that is no part of it: neither trained nor saved. Both have the same vocabulary."""

    def __init__(self, body: Model, teacher: Model, reverse: bool = False) -> None:
        """With `reverse` the divergence is that from the teacher as the student sees it.

        Raises ConfigError for a teacher of another vocabulary, UnsupportedError where either caps its logits.
        """
        super().__init__(body)
        if teacher.vocab_size != body.vocab_size:
            raise ConfigError(
                f"the teacher has {teacher.vocab_size} tokens and the model {body.vocab_size}; use its own"
            )
        if teacher.softcap or body.softcap:
            raise UnsupportedError("distilling compares logits as they are; set model.softcap=0 in student and teacher")
        self._reverse = reverse
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple, torch does not see it

    def score(
        self,
        tokens: Tensor,
        targets: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        ask: Collection[str] = (),
    ) -> Scores:
        """As `Model.score`; `ask` may also name "divergence" (B, T). It is 0 where `weights` are.

        Raises UnsupportedError for what the model cannot say.
        """
        hidden = self(tokens, positions=positions, segments=segments)
        scores = self.body.score_hidden(
            hidden, targets, segments=segments, weights=weights, ask=set(ask) - {"divergence"}
        )
        if "divergence" in ask:
            (master,) = self._teacher
            with torch.no_grad():
                taught = master(tokens, positions=positions, segments=segments)
            counted = torch.ones_like(targets, dtype=torch.bool) if weights is None else weights != 0
            found = divergence(hidden[counted], self.head_weight, taught[counted], master.head_weight, self._reverse)
            scores.divergence = scores.logp.new_zeros(targets.shape).masked_scatter(counted, found)
        return scores
