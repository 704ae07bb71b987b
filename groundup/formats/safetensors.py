"""Plain safetensors: the weights under our own names, whole or in 8 or 4 bits. Every architecture has this form.

model.json          the architecture, its fields, the size of the vocabulary, how the weights are held
model.safetensors   tokenizer.json   tokenizer_config.json
"""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.config import Folder
from groundup.errors import DataError
from groundup.events import Reporter
from groundup.formats import parity
from groundup.formats._base import DTYPES, Bundle, Format, Precision
from groundup.formats.parity import Parity
from groundup.layers.quantize import Kind, quantize
from groundup.models._base import Model, ModelConfig
from groundup.tokenizer._base import load

READER = "groundup's own reader"


class Safetensors(Format):
    """Weights, shape and tokenizer, in our own names."""

    precision: Precision = Field("fp32", description="of the weights that are whole")
    quantize: Kind | None = Field(None, description="int8 or int4 for the matrices between embedding and head")

    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write every file. Raises UnsupportedError for matrices that do not fill the groups of int4."""
        config, held = bundle.model.config, self._held(bundle.model)
        about = {
            "model": {"name": config.name, **config.explicit().tree()},
            "vocab_size": bundle.model.vocab_size,
            "quantize": self.quantize,
        }
        (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        path = folder / "model.safetensors"
        save_file(self._stored(held), path, metadata={"format": "pt"})
        shutil.copymode(folder / "model.json", path)  # the library lets nobody else read what it writes
        bundle.tokenizer.save(folder)

    def check(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """Read everything again and compare it with what should have been written. Raises DataError."""
        texts, learned = parity.texts(), load(folder)
        again, ours = read_model(folder), self._held(copy.deepcopy(bundle.model))
        stored = self._stored(ours)
        ours.load_state_dict(stored)
        asked = parity.prompts(bundle.tokenizer, ours.config.length)
        figures: dict[str, str | float] = {
            "token ids of strings": parity.compare_ids(
                bundle.tokenizer.encode_batch(texts), lambda number: learned.encode(texts[number]), "string", READER
            ),
            "bytes of weights": sum(value.numel() * value.element_size() for value in stored.values()),
        }
        worst = parity.compare_logits(
            ours, lambda ids: next(parity.logits(again, [ids])), asked, READER, progress=progress
        )
        return Parity(READER, {**figures, f"largest difference of a logit, {len(asked)} prompts": worst})

    def usage(self, bundle: Bundle) -> str:
        """How to open it from Python."""
        return (
            "```python\nfrom pathlib import Path\nfrom groundup.formats.safetensors import read_model\n"
            "from groundup.tokenizer._base import load\n\n"
            'folder = Path("FOLDER")\nmodel, tokenizer = read_model(folder), load(folder)\n```'
        )

    def _stored(self, held: Model) -> dict[str, Tensor]:
        """The tensors of the file: what is float32 takes the precision asked for."""
        dtype = DTYPES[self.precision]
        return {
            name: (value.to(dtype) if value.dtype == torch.float32 else value).contiguous()
            for name, value in held.state_dict().items()
        }

    def _held(self, model: Model) -> Model:
        return model if self.quantize is None else quantize(model, self.quantize)


def read_model(folder: Path) -> Model:
    """The model in a folder of this format, in float32 but for what is quantized. Raises DataError where it is damaged.

    A quantized model computes with the weights that its codes stand for.
    """
    path = folder / "model.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values = load_file(folder / "model.safetensors")
        config = Folder("models").read(about["model"])
        assert isinstance(config, ModelConfig)
        model = config.build(int(about["vocab_size"]))
        if about.get("quantize"):
            model = quantize(model, about["quantize"])
        model.load_state_dict(values)
    except DataError:
        raise
    except Exception as error:  # of the disk, of JSON, of safetensors, of torch: the folder is not what was written
        raise DataError(f"{path}: not an export of this format ({error}); export it again") from None
    return model.eval()
