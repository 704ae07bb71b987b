"""A model with a second head beside that of the vocabulary: values, rewards, classes. Any architecture, unchanged."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from groundup.models._around import Around
from groundup.models._base import Model, Role, Scores


class Headed(Around):
    """`body` and a linear head of K outputs on its hidden states; it decodes as the body does.

    The head starts at random with a standard deviation of 1 / sqrt(D + 1), as in arXiv 2009.01325: from zero, a body
    whose blocks add nothing yet could not learn.
    """

    def __init__(self, body: Model, outputs: int = 1, seed: int = 0) -> None:
        super().__init__(body)
        weight = body.embedding.weight
        self.score_head = nn.Linear(body.config.dim, outputs, device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            noise = torch.randn(outputs, body.config.dim, generator=torch.Generator().manual_seed(seed))
            self.score_head.weight.copy_(noise * (body.config.dim + 1) ** -0.5)
            self.score_head.bias.zero_()

    def roles(self) -> dict[str, Role]:
        """The body's, and the new head, which is a head."""
        own: dict[str, Role] = {"score_head.weight": "head", "score_head.bias": "vector"}
        return {**super().roles(), **own}

    def score_hidden(
        self,
        hidden: Tensor,
        targets: Tensor,
        *,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        ask: Collection[str] = (),
    ) -> Scores:
        """As `Model.score_hidden`; `ask` may also name "value" (B, T) or "pooled" (B, S, K).

        Where "pooled" is all that is asked for, `logp` and `lse` are not worked out and come as zeros. Raises
        UnsupportedError for what the model cannot say.
        """
        if set(ask) == {"pooled"}:
            scores = Scores(*torch.zeros(2, *targets.shape, device=hidden.device))
        else:
            scores = self.body.score_hidden(hidden, targets, weights=weights, ask=set(ask) - {"value", "pooled"})
        if "value" in ask:
            scores.value = self.score_head(hidden)[..., 0].float()
        if "pooled" in ask:
            scores.pooled = self.score_head(_last(hidden, segments)).float()
        return scores


def _last(hidden: Tensor, segments: Tensor | None) -> Tensor:
    """`(B, T, D)` at the last token of each segment, `(B, S, D)`; the first token where a row has not that segment."""
    if segments is None:
        return hidden[:, -1:]
    B, T, D = hidden.shape
    places = torch.arange(T, device=hidden.device).expand(B, T)
    n = int(segments.max()) + 1
    last = places.new_zeros(B, n).scatter_reduce(1, segments, places, "amax")
    return hidden.gather(1, last[:, :, None].expand(B, n, D))
