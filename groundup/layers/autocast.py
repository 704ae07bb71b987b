"""Which precision a layer computes in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype that matrix multiplications on `x` run in: that of the autocast region, else that of `x`."""
    if x.is_floating_point() and not x.is_meta and torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def as_it_is(x: Tensor) -> AbstractContextManager[Any]:
    """Where matrix multiplications on `x` keep its dtype, whatever the region. A meta tensor knows no regions."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
