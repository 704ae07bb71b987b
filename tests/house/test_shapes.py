"""Rule 3 of the house: a shape that is written down is checked while tests run."""

import importlib
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError, install_import_hook

STATING = """
from typing import Self
from jaxtyping import Float
from torch import Tensor

def score(hidden: Float[Tensor, "B T D"], weight: Float[Tensor, "V D"]) -> Float[Tensor, "B T V"]:
    return hidden @ weight.T

def wrong(hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
    return hidden

class Chain:
    def link(self) -> Self:
        return self
"""


def test_shapes_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stating_shapes.py").write_text(STATING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("stating_shapes", "shapes.checked"):
        stating = importlib.import_module("stating_shapes")
    hidden, weight = torch.ones(2, 3, 4), torch.ones(5, 4)
    assert stating.score(hidden, weight).shape == (2, 3, 5)
    assert isinstance(stating.Chain().link(), stating.Chain)
    with pytest.raises(TypeCheckError):
        stating.score(hidden, torch.ones(5, 3))
    with pytest.raises(TypeCheckError):
        stating.score(hidden.int(), weight)
    with pytest.raises(TypeCheckError):
        stating.wrong(hidden)
