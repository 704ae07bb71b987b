"""A GGUF file holds what the model holds, in llama.cpp's order, and llama.cpp says what we say."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from formats.bundles import CONFIGS, MOE, SMALL, bundle, label, tokenizer, trained
from groundup.corpus.conversation import Message
from groundup.errors import DataError, UnsupportedError
from groundup.formats._base import Bundle
from groundup.formats.gguf import Gguf, Quantized, pattern_of
from groundup.formats.publish import export
from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.models._base import ModelConfig
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.characters import Characters
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import END_OF_TURN

gguf = pytest.importorskip("gguf")
TEXTS = [
    "How", "How do", "How do you", "How do you do?", "I do", "I do well", "What", "What is", "What is 17 + 25? It",
    "def f(x):\n",
]  # fmt: skip
TOKENS = 64
LLAMA_PYTHON = os.environ.get("GROUNDUP_LLAMA_PYTHON", "")


class Swapped(Gguf):
    """Writes one tensor under another's name."""

    def write(self, bundle: Bundle, folder: Path) -> None:
        """As it should be, but for two norms that have changed places."""
        model = bundle.model
        with torch.no_grad():
            state = {name: value.clone() for name, value in model.state_dict().items()}
            other = model.config.module(model.vocab_size)
            names = ("layers.0.input_layernorm.weight", "layers.1.input_layernorm.weight")
            state[names[0]], state[names[1]] = state[names[1]], state[names[0]]
            other.load_state_dict(state)
        super().write(Bundle(bundle.name, bundle.stage, other, bundle.tokenizer), folder)


@pytest.mark.parametrize("config", [*CONFIGS, MOE], ids=label)
def test_every_architecture_is_read_back(config: ModelConfig, tmp_path: Path) -> None:
    made = bundle(config)
    parity = export(Gguf(quantize="f32"), made, tmp_path / "out")
    assert parity.figures["largest difference of a logit, 64 prompts"] == 0.0
    assert parity.figures["pre-tokenizer"] == "qwen2"
    file = gguf.GGUFReader(tmp_path / "out" / "model.gguf")

    def field(name: str) -> Any:
        return file.get_field(name).contents()

    name, special = made.model.exports["gguf"], tokenizer().special
    assert field("general.architecture") == name
    assert (field(f"{name}.block_count"), field(f"{name}.context_length")) == (2, 64)
    assert field("tokenizer.ggml.eos_token_id") == field("tokenizer.ggml.eot_token_id") == special[END_OF_TURN]
    assert field("tokenizer.ggml.add_bos_token") is False
    assert "<|end_of_turn|>" in field("tokenizer.chat_template")
    kinds = field("tokenizer.ggml.token_type")
    assert [number for number, kind in enumerate(kinds) if kind == 3] == sorted(special.values())
    assert {tensor.name for tensor in file.tensors} >= {"token_embd.weight", "output_norm.weight"}
    assert ("output.weight" in {tensor.name for tensor in file.tensors}) is not config.tied


@pytest.mark.parametrize("quantize", get_args(Quantized))
def test_every_type_is_written_within_its_rounding(quantize: Quantized, tmp_path: Path) -> None:
    parity = export(Gguf(quantize=quantize), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    types = {
        tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "out" / "model.gguf").tensors
    }
    assert types["blk.0.attn_q.weight"] == quantize.upper()
    assert types["blk.0.attn_norm.weight"] == "F32"
    assert float(parity.figures["largest difference of a logit, 64 prompts"]) >= 0
    model = (tmp_path / "out" / "Modelfile").read_text(encoding="utf-8")
    assert 'PARAMETER stop "<|end_of_turn|>"' in model and "num_ctx 64" in model


def test_what_differs_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'blk.0.attn_norm.weight' came back different.*nothing was exported"):
        export(Swapped(quantize="f32"), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_llama_cpp_lacks_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="model 'rnn' has no form in gguf"):
        export(Gguf(), bundle(Rnn(layers=1, dim=32, length=64)), tmp_path / "out")
    with pytest.raises(UnsupportedError, match="tokenizer=bpe"):
        pattern_of(Characters(vocab_size=300).train(["abc"]))


@pytest.mark.parametrize("pattern", ["qwen2", "gpt-2", "llama3"])
def test_each_rule_of_cutting_has_a_name(pattern: Any) -> None:
    assert pattern_of(BPE(vocab_size=300, pattern=pattern).train(["some text " * 9])) == pattern


@pytest.mark.slow
@pytest.mark.skipif(not LLAMA_PYTHON, reason="GROUNDUP_LLAMA_PYTHON names no interpreter with xllamacpp")
@pytest.mark.parametrize("config", [*CONFIGS, MOE], ids=label)
def test_llama_cpp_says_what_we_say(config: ModelConfig, tmp_path: Path) -> None:
    made = trained(config.model_copy(update={"length": 128}))
    export(Gguf(quantize="f32"), made, tmp_path / "out")
    asked = {
        "texts": TEXTS,
        "talks": [[{"role": "user", "content": text}] for text in TEXTS],
        "tokens": TOKENS,
    }
    peer = Path(__file__).with_name("llama_peer.py")
    words = [LLAMA_PYTHON, str(peer), str(tmp_path / "out" / "model.gguf")]
    done = subprocess.run(words, input=json.dumps(asked), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    learned = tokenizer()
    chat = Chat(learned)
    prompts = [learned.encode(text) for text in TEXTS]
    prompts += [chat.prompt((Message("user", text),)) for text in TEXTS]
    requests = [Request(ids, max_tokens=TOKENS, temperature=0.0, stop=chat.stop_ids) for ids in prompts]
    ours = [learned.decode(reply.ids) for reply in Engine(made.model, rows=20, length=128).complete(requests)]
    said = [reply["choices"][0]["text"].removeprefix(text) for reply, text in zip(theirs["texts"], TEXTS, strict=True)]
    said += [reply["choices"][0]["message"]["content"] for reply in theirs["talks"]]
    for mine, other in zip(ours, said, strict=True):
        assert mine.strip() == other.strip()
