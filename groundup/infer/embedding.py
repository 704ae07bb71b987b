"""A text as one vector: the mean of the last hidden states of its tokens, of length 1."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.models._base import Model


def embed(model: Model, texts: Sequence[Sequence[int]]) -> Float[Tensor, "n D"]:
    """One vector for each row of ids, float32; none of them may be empty.

    Padding stands at the end, where the tokens of a causal model do not see it.
    """
    counts = torch.tensor([len(ids) for ids in texts])
    tokens = torch.zeros(len(texts), int(counts.max()), dtype=torch.int64)
    for row, ids in enumerate(texts):
        tokens[row, : len(ids)] = torch.tensor(ids)
    device = model.head_weight.device
    with torch.inference_mode():
        hidden = model(tokens.to(device)).float()
        real = torch.arange(tokens.shape[1], device=device) < counts.to(device)[:, None]
        mean = (hidden * real[..., None]).sum(1) / counts.to(device)[:, None]
        return torch.nn.functional.normalize(mean, dim=-1).cpu()
