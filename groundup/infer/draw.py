"""The next token of each ticket from its logits: penalties and guides, the random number, the draw."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.infer.sampling import likeliest, penalized, sample, uniforms
from groundup.infer.schedule import Ticket

Drawn = tuple[int, float, tuple[tuple[int, float], ...]]
"""A token, its log-probability, and the likeliest alternatives where they were asked for."""


def draw(
    logits: Float[Tensor, "n V"], tickets: Sequence[Ticket], ahead: Sequence[Sequence[int]] | None = None
) -> list[Drawn]:
    """A token for each ticket; where `ahead` is given, as if the ticket had already got those tokens too."""
    replies = [ticket.ids for ticket in tickets]
    if ahead is not None:
        replies = [[*ids, *more] for ids, more in zip(replies, ahead, strict=True)]
    numbers = uniforms([ticket.request.seed for ticket in tickets], [len(reply) for reply in replies])
    logits = logits.float()
    samplings = [ticket.sampling for ticket in tickets]
    changed = penalized(logits, samplings, [ticket.request.prompt for ticket in tickets], replies)
    for row, ticket in enumerate(tickets):
        if ticket.request.guide is not None:
            changed = logits.clone() if changed is logits else changed
            changed[row].masked_fill_(~ticket.request.guide.allowed().to(changed.device), -torch.inf)
    tokens, logps = sample(logits, samplings, numbers, None if changed is logits else changed)
    tops = [likeliest(logits[row], t.request.top) if t.request.top else () for row, t in enumerate(tickets)]
    return list(zip(tokens.tolist(), logps.tolist(), tops, strict=True))
