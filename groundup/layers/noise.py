"""Noise on the embeddings while a model learns (NEFTune, Jain et al. 2023, arXiv 2310.05914). Wraps from outside."""

from typing import Any

import torch
from torch import Tensor, nn


def add_noise(embedding: nn.Module, alpha: float) -> None:
    """Add to each embedding `(B, T, D)`, in training alone, noise even in ±alpha / sqrt(T·D): the paper's scale.

    Drawn from torch's own generator, which the trainer seeds anew at each step.
    """

    def shake(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        if not module.training:
            return out
        scale = alpha / (out.shape[-2] * out.shape[-1]) ** 0.5
        return out + torch.empty_like(out).uniform_(-scale, scale)

    embedding.register_forward_hook(shake)
