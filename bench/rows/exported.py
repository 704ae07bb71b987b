"""tokens a second of the exported model in transformers and in llama.cpp, beside our engine, in one precision"""

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bench.ceiling import read_bytes_per_second
from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import Ground, Row
from bench.rows.generate import SHAPES, TOP_K
from groundup.config import Folder

CACHES = ("dynamic", "static", "compiled")
TEXT_BYTES = 4_000_000


class Exported(Row):
    """Prompts of 16 tokens, each gone on from by 128, drawn among the 50 likeliest; random weights, really exported.

    `transformers` is held with each of its caches (compiled: the static one under torch.compile): compare with the
    fastest. llama.cpp runs the GGUF file, with as many slots as there are replies, all asked for in one request.
    """

    knows: ClassVar = ("transformers", "llamacpp")
    shape: Literal["30m", "quick"] = Field("30m", description="of the model: about 30 M parameters, or a small one")
    precision: Literal["fp32", "bf16"] = Field("bf16", description="of everybody's weights")
    model: Literal["llama", "qwen3"] = "llama"
    prompt: int = Field(16, ge=1, description="tokens")
    new: int = Field(128, ge=1, description="tokens")
    compiled: bool = Field(True, description="our engine with its steps compiled, as `groundup serve --compile` does")
    int8: bool = Field(False, description="llama.cpp's Q8_0 too, apart")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest for each number of replies at once."""
        from groundup.formats._base import Bundle
        from groundup.formats.gguf import Gguf
        from groundup.formats.huggingface import Huggingface
        from groundup.models._base import ModelConfig
        from groundup.plan.machine import probe
        from groundup.tokenizer.bpe import BPE

        shape = SHAPES[self.shape]
        fields = {key: shape[key] for key in ("layers", "dim", "heads", "length")}
        config = Folder("models").find(self.model).from_tree({**fields, "tied": True, "residual_init": "scaled"})
        assert isinstance(config, ModelConfig)
        learned = BPE(vocab_size=shape["vocab"]).train([_text()])
        model = config.build(learned.vocab_size, seed=1).eval()
        bundle = Bundle("exported", "pretrain", model, learned)
        kinds = [self.precision, *(["q8_0"] if self.int8 else [])]
        files = {kind: ground.folder / kind for kind in ("weights.npz", "huggingface", *kinds)}
        np.savez(files["weights.npz"], **{name: value.numpy() for name, value in model.state_dict().items()})
        for folder in list(files.values())[1:]:
            folder.mkdir()
        Huggingface(precision=self.precision).write(bundle, files["huggingface"])
        for kind in kinds:
            Gguf(quantize={"fp32": "f32"}.get(kind, kind)).write(bundle, files[kind])
        machine = probe(ground.folder)
        read = sum(weight.numel() for weight in model.parameters()) * (4 if self.precision == "fp32" else 2)
        bandwidth, work = read_bytes_per_second(read), config.flops_per_token(learned.vocab_size, 0) / 3
        for replies in (1, 16):
            shared: dict[str, Any] = {
                "model": {"name": self.model, **config.tree()}, "vocab": learned.vocab_size,
                "weights": str(files["weights.npz"]), "folder": str(files["huggingface"]), "prompt": self.prompt,
                "new": self.new, "replies": replies, "top_k": TOP_K, "precision": self.precision,
                "threads": machine.cores,
            }  # fmt: skip
            players = [Player(OURS, "groundup_generate.py", {**shared, "compiled": self.compiled})]
            if peer := ground.peers.get("transformers"):
                players += [
                    Player(
                        f"transformers, {cache}", "transformers_exported.py", {**shared, "cache": cache}, peer.python
                    )
                    for cache in CACHES
                ]
            if peer := ground.peers.get("llamacpp"):
                players += [
                    Player(
                        f"llama.cpp {kind}", "llama_exported.py",
                        {**shared, "file": str(next(files[kind].glob("*.gguf")))}, peer.python,
                    )
                    for kind in kinds
                ]  # fmt: skip
            rate = machine.matmul.get(self.precision, machine.rate)
            words = f"{read / 1e6:.0f} MB a step at {bandwidth / 1e9:.0f} GB/s; {work / 1e6:.0f} MFLOP a token"
            yield Contest(
                f"exported: {self.model}, shape {self.shape}, {self.precision}, {replies} at once", "tokens/s",
                players, floor=Floor(min(replies * bandwidth / read, rate / work), words),
            )  # fmt: skip


def _text() -> str:
    """Some of the standard library, to learn a vocabulary from."""
    found, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        found.append(path.read_text(encoding="utf-8"))
        size += len(found[-1])
        if size > TEXT_BYTES:
            break
    return "\n".join(found)
