"""Activation recompute: what the backward pass needs is worked out again rather than kept (Chen et al. 2016, arXiv
1604.06174). Applied from outside, block by block, with PyTorch's own checkpoint.

    full        a block keeps what went into it; costs a third more work
    selective   it keeps what its matrix products and fused attention put out too, and makes again what is cheap: norms,
                curves, and attention's probabilities, which grow with the square of the row (Korthikanti et al. 2022,
                arXiv 2205.05198, which leaves out the last alone)

What a block draws at random, it draws again alike. Names and values of weights stay as they are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from groundup.parallel._base import Split, blocks

KEPT = (
    "mm",
    "addmm",
    "_grouped_mm",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
)
"""Operations of `torch.ops.aten` whose results selective recompute keeps: they cost the most for what they hold. The
batched products of plain attention are not among them."""


def apply(split: Split) -> None:
    """Have every block of the model recompute, as the settings say."""
    assert split.settings.recompute != "none"
    for part in split.parts:
        for block in blocks(part):
            recompute(block, split.settings.recompute)


def recompute(block: nn.Module, kind: Literal["selective", "full"]) -> None:
    """Have `block` make its activations again in the backward pass; it is changed in place, and keeps its names."""
    plain: Callable[..., Any] = block.forward
    block.forward = _Again(plain, kind)


class _Again:
    """A block's forward pass that keeps little."""

    def __init__(self, plain: Callable[..., Any], kind: Literal["selective", "full"]) -> None:
        self._plain, self._kind = plain, kind

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._plain(*args, **kwargs)
        if self._kind == "full":
            return checkpoint(self._plain, *args, use_reentrant=False, **kwargs)
        chosen = partial(create_selective_checkpoint_contexts, _policy)
        return checkpoint(self._plain, *args, use_reentrant=False, context_fn=chosen, **kwargs)


def _policy(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    packet = getattr(operation, "overloadpacket", operation)
    name = getattr(packet, "__name__", "")
    return CheckpointPolicy.MUST_SAVE if name in KEPT else CheckpointPolicy.PREFER_RECOMPUTE
