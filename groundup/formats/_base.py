"""What a format is: a way for a model to leave the house, read again by another program before it is handed over."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from groundup.config import Component
from groundup.errors import UnsupportedError
from groundup.events import Reporter
from groundup.formats.parity import Parity
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Bundle:
    """What leaves together. The model is in evaluation mode, its weights in float32 on the CPU."""

    name: str
    stage: str
    model: Model
    tokenizer: Tokenizer
    about: str = ""
    """Markdown on what the model is, where it comes from and what was measured: the middle of the model card."""

    @property
    def chats(self) -> bool:
        """Whether the vocabulary has the special tokens of a chat."""
        return "<|end_of_turn|>" in self.tokenizer.special


class Format(Component):
    """One way out; its fields are the settings of that way."""

    @abstractmethod
    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write every file of the format into the empty `folder`. Raises UnsupportedError for a model without it."""

    @abstractmethod
    def check(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """Read `folder` again, with another library where it is installed. Raises DataError where it differs."""

    @abstractmethod
    def usage(self, bundle: Bundle) -> str:
        """Markdown: how other programs open what was written."""


def stock_name(model: Model, format: str) -> str:
    """What `format` calls the architecture. Raises UnsupportedError for one that it does not know."""
    if format not in model.exports:
        raise UnsupportedError(
            f"model {model.config.name!r} has no form in {format}: no program that reads it knows this architecture; "
            f"export with --to {' or '.join(sorted({'safetensors', *model.exports}))}, or train gpt2, llama or qwen3"
        )
    return model.exports[format]


def rounded(model: Model, dtype: torch.dtype) -> Model:
    """A copy that computes in float32 with the weights that `dtype` can hold: what a written file should equal."""
    return model if dtype == torch.float32 else copy.deepcopy(model).to(dtype).float()
