"""ONNX: graphs for onnxruntime, of any number of rows and any length.

model.onnx             input_ids (rows, T) -> logits (rows, T, V)
model_with_past.onnx   the same, and keys and values of what was read before: past_key_values.N.key in,
                       present.N.key out, (rows, heads, length, head_dim); a past of length 0 begins a text
config.json  tokenizer.json  tokenizer_config.json
"""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import UnsupportedError
from groundup.events import Reporter
from groundup.formats import parity
from groundup.formats._base import Bundle, Format, stock_name
from groundup.formats._stock import config_out
from groundup.formats.huggingface import special_ids
from groundup.formats.parity import Parity
from groundup.layers.cache import Cache
from groundup.models._base import Model
from groundup.tokenizer._base import load

CHUNK = 5
"""Tokens that the check reads at a time into the cache, after a first one."""


class Onnx(Format):
    """Graphs in float32."""

    def write(self, bundle: Bundle, folder: Path) -> None:
        """Draw both graphs. Raises UnsupportedError for a model whose memory is not keys and values."""
        _require()
        stock_name(bundle.model, "onnx")
        any_, T, past = (torch.export.Dim(name) for name in ("rows", "T", "past"))
        tokens = torch.zeros(2, 7, dtype=torch.int64)
        memory = [part for layer in bundle.model.memory(2, 5, torch.float32) for part in layer]
        names = [f"{layer}.{kind}" for layer in range(len(memory) // 2) for kind in ("key", "value")]
        _draw(_Whole(bundle.model), (tokens,), ({0: any_, 1: T},), ["input_ids"], ["logits"], folder / "model.onnx")
        _draw(
            _WithPast(bundle.model),
            (tokens, memory),
            ({0: any_, 1: T}, [{0: any_, 2: past} for _ in memory]),
            ["input_ids", *(f"past_key_values.{name}" for name in names)],
            ["logits", *(f"present.{name}" for name in names)],
            folder / "model_with_past.onnx",
        )
        config = {"architectures": [bundle.model.exports["huggingface"]], **config_out(bundle.model)}
        text = json.dumps({**config, **special_ids(bundle)}, indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        bundle.tokenizer.save(folder)

    def check(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """Run both graphs in onnxruntime, the second one a few tokens at a time. Raises DataError."""
        import onnxruntime

        reader = f"onnxruntime {version('onnxruntime')}"
        whole, cached = (
            onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
            for name in ("model.onnx", "model_with_past.onnx")
        )
        texts, learned = parity.texts(), load(folder)
        ids = parity.compare_ids(
            bundle.tokenizer.encode_batch(texts), lambda number: learned.encode(texts[number]), "string", reader
        )
        asked = parity.prompts(bundle.tokenizer, bundle.model.config.length)

        def at_once(prompt: Sequence[int]) -> Tensor:
            (logits,) = whole.run(None, {"input_ids": torch.tensor([prompt]).numpy()})
            return torch.from_numpy(logits[0])

        def in_parts(prompt: Sequence[int]) -> Tensor:
            names = [given.name for given in cached.get_inputs()]
            past = [part[:, :, :0].numpy() for layer in bundle.model.memory(1, 1, torch.float32) for part in layer]
            found = []
            for part in torch.tensor([prompt]).split([1, *_parts(len(prompt) - 1)], 1):
                logits, *past = cached.run(None, dict(zip(names, [part.numpy(), *past], strict=True)))
                found.append(torch.from_numpy(logits[0]))
            return torch.cat(found)

        what = f"largest difference of a logit, {len(asked)} prompts"
        return Parity(
            reader,
            {
                "token ids of strings": ids,
                what: parity.compare_logits(bundle.model, at_once, asked, reader, progress=progress),
                f"{what}, cached": parity.compare_logits(bundle.model, in_parts, asked, reader, progress=progress),
            },
        )

    def usage(self, bundle: Bundle) -> str:
        """How to run it."""
        return (
            "```python\nimport numpy, onnxruntime, tokenizers\n\n"
            'tokenizer = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json")\n'
            'session = onnxruntime.InferenceSession("FOLDER/model.onnx")\n'
            'ids = numpy.array([tokenizer.encode("Once").ids])\n'
            '(logits,) = session.run(None, {"input_ids": ids})\n```'
        )


class _Whole(nn.Module):
    """Ids to logits."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.logits(self.model(input_ids))


class _WithPast(nn.Module):
    """Ids and what was read before to logits and what has been read now."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, past: list[Tensor]) -> tuple[Tensor, ...]:
        rows, T = input_ids.shape
        longer = [torch.cat([part, part.new_zeros(rows, part.shape[1], T, part.shape[3])], 2) for part in past]
        layers: list[tuple[Tensor, ...]] = list(zip(longer[::2], longer[1::2], strict=True))
        cache = Cache(layers, torch.full((rows,), past[0].shape[2]), past[0].shape[2] + T)
        logits = self.model.logits(self.model(input_ids, cache=cache))
        return (logits, *(part for layer in cache.layers for part in layer))


def _draw(
    module: nn.Module, args: tuple[Any, ...], shapes: tuple[Any, ...], inputs: list[str], outputs: list[str], path: Path
) -> None:
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(), args, dynamo=True, dynamic_shapes=shapes, input_names=inputs, output_names=outputs,
            verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(str(path))


def _parts(n: int) -> list[int]:
    """`n` tokens in chunks, the last one shorter."""
    return [CHUNK] * (n // CHUNK) + ([n % CHUNK] if n % CHUNK else [])


def _require() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UnsupportedError(f"the format onnx needs {', '.join(missing)}; install groundup[formats]")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter without its notes on libraries that it could also use, and on its own old calls."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
