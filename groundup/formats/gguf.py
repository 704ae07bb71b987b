"""GGUF: one file for llama.cpp and all that is built on it, with an Ollama Modelfile beside it.

llama.cpp knows how to cut text before merging by the *name* of a rule. A vocabulary learnt here uses one of the rules
of `tokenizer/_subwords.py`, each of which has such a name, so that the file is read without a change to llama.cpp.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from groundup.errors import DataError, UnsupportedError
from groundup.events import Reporter
from groundup.formats import parity
from groundup.formats._base import Bundle, Format, stock_name
from groundup.formats._stock import HEAD, stock_of
from groundup.formats.huggingface import special_ids
from groundup.formats.parity import Parity
from groundup.tokenizer._subwords import pre_tokenizer
from groundup.tokenizer.patterns import PATTERNS
from groundup.tokenizer.special import ASSISTANT, END_OF_TURN, TEMPLATE

if TYPE_CHECKING:
    from groundup.models._base import Model
    from groundup.tokenizer._base import Tokenizer
    from groundup.tokenizer.patterns import Pattern

Quantized = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]
Array = NDArray[Any]

PRE: Mapping[str, str] = {"qwen2": "qwen2", "gpt-2": "gpt-2", "llama3": "llama-bpe"}
"""Our rule -> llama.cpp's name for it (`llm_load_vocab` of src/llama-vocab.cpp)."""

ERRORS: Mapping[str, float] = {"F32": 0.0, "F16": 2**-11, "BF16": 2**-8, "Q8_0": 0.6 / 127, "Q4_0": 1.1 / 8}
"""Largest error of a weight in each type, as a share of the largest of its block of 32 (Q4_0 has no +8)."""

BLOCK = 32  # weights that share a scale in Q8_0 and Q4_0
NORMAL, CONTROL = 1, 3  # kinds of token


class Gguf(Format):
    """A file for llama.cpp."""

    quantize: Quantized = Field("f16", description="type of the matrices; vectors are always f32")

    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write `model.gguf` and the Modelfile. Raises UnsupportedError for a model or tokenizer llama.cpp lacks."""
        gguf = _library()
        architecture = stock_name(bundle.model, "gguf")
        writer = gguf.GGUFWriter(folder / "model.gguf", architecture)
        writer.add_name(bundle.name)
        kind = {"f32": "ALL_F32"}.get(self.quantize, f"MOSTLY_{self.quantize.upper()}")
        writer.add_file_type(gguf.LlamaFileType[kind])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_shape(writer, bundle.model)
        _add_tokenizer(writer, bundle)
        for name, value in _named(bundle.model, architecture):
            type_ = gguf.GGMLQuantizationType[_type_of(name, value, self.quantize)]
            writer.add_tensor(name, gguf.quants.quantize(value, type_), raw_dtype=type_)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        if bundle.chats:
            (folder / "Modelfile").write_text(_modelfile(bundle), encoding="utf-8")

    def check(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """Read the file with the gguf library: weights, vocabulary, and what both make of text. Raises DataError."""
        gguf = _library()
        reader = f"gguf {version('gguf')}"
        file = gguf.GGUFReader(folder / "model.gguf")
        architecture = stock_name(bundle.model, "gguf")
        written = {tensor.name: tensor for tensor in file.tensors}
        values: dict[str, Array] = {}
        for name, value in _named(bundle.model, architecture):
            if name not in written:
                raise DataError(f"{reader} finds no tensor {name!r}; nothing was exported")
            tensor = written.pop(name)
            values[name] = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(value.shape)
            _compare_weights(name, value, values[name], tensor.tensor_type.name)
        if written:
            raise DataError(f"{reader} finds tensors that the model has not: {sorted(written)}; nothing was exported")
        texts = parity.texts()
        learned = _tokenizer_of(file)
        ids = parity.compare_ids(
            bundle.tokenizer.encode_batch(texts), lambda number: learned.encode(texts[number]).ids, "string", reader
        )
        figures: dict[str, str | float] = {
            "architecture": architecture,
            "pre-tokenizer": _text(file, "tokenizer.ggml.pre"),
            "tensors": f"{len(values)} as written, {self.quantize}",
            "token ids of strings": ids,
        }
        again = _model_of(bundle.model, values, architecture)
        return Parity(reader, figures | _moved(bundle, again, self.quantize, reader, progress))

    def usage(self, bundle: Bundle) -> str:
        """How to open it with llama.cpp and Ollama."""
        return (
            "```\nllama-cli -m model.gguf -cnv --jinja        # llama.cpp\n"
            f"ollama create {bundle.name.lower()} -f Modelfile && ollama run {bundle.name.lower()}\n```"
        )


def pattern_of(tokenizer: "Tokenizer") -> "Pattern":
    """The rule by which a byte-level BPE cuts text. Raises UnsupportedError for another kind, or an unknown rule."""
    tree = json.loads(tokenizer._backend.to_str())
    if tree["model"]["type"] != "BPE" or tree["model"].get("byte_fallback"):
        raise UnsupportedError(
            f"llama.cpp has no tokenizer of this kind ({tree['model']['type']}, byte_fallback="
            f"{tree['model'].get('byte_fallback')}); train with tokenizer=bpe, or export to another format"
        )
    parts = (tree["pre_tokenizer"] or {}).get("pretokenizers", [tree["pre_tokenizer"] or {}])
    rules = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    if not rules and any(part.get("type") == "ByteLevel" and part.get("use_regex") for part in parts):
        return "gpt-2"
    for name, rule in PATTERNS.items():
        if rules == [rule]:
            return name
    raise UnsupportedError(f"llama.cpp has no name for this pre-tokenization rule: {rules}; export to another format")


def _library() -> Any:
    if find_spec("gguf") is None:
        raise UnsupportedError("the format gguf needs the library gguf; install groundup[formats]")
    import gguf

    return gguf


def _named(model: "Model", architecture: str) -> Iterator[tuple[str, Array]]:
    """The weights under llama.cpp's names, float32."""
    gguf = _library()
    names = gguf.get_tensor_name_map(next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture),
                                     model.config.layers)  # fmt: skip
    stock = stock_of(model)
    for name, weight in model.state_dict().items():
        spelt = (name if name == HEAD else stock.prefix + name).replace("_correction_bias", "_correction.bias")
        theirs = names.get_name(spelt, try_suffixes=(".weight", ".bias"))
        assert theirs is not None, f"llama.cpp's {architecture} has no tensor for {name}"
        theirs += "" if theirs.endswith((".weight", ".bias")) else ".weight"  # the experts of a layer, together
        value = weight.numpy()
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            value = _interleaved(value, model.config.explicit().tree()["head_dim"])
        yield theirs, np.ascontiguousarray(value, dtype=np.float32)


def _interleaved(weight: Array, head_dim: int) -> Array:
    """llama.cpp turns neighbours in a head of `llama`, where we turn its halves: rows change places."""
    return weight.reshape(-1, 2, head_dim // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def _halves(weight: Array, head_dim: int) -> Array:
    """The inverse of `_interleaved`."""
    return weight.reshape(-1, head_dim // 2, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def _type_of(name: str, value: Array, wanted: Quantized) -> str:
    """The type a tensor is stored in: what is small, or does not fill blocks, keeps its precision."""
    if value.ndim == 1 or name == "position_embd.weight" or name.endswith("ffn_gate_inp.weight"):
        return "F32"
    if wanted in ("q8_0", "q4_0"):
        if value.shape[-1] % BLOCK:
            return "F16"
        if name in ("token_embd.weight", "output.weight"):
            return "Q8_0"
    return wanted.upper()


def _add_shape(writer: Any, model: "Model") -> None:
    config = model.config.explicit()
    tree = config.tree()
    writer.add_context_length(config.length)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.layers)
    writer.add_head_count(tree["heads"])
    writer.add_head_count_kv(tree.get("kv_heads", tree["heads"]))
    writer.add_feed_forward_length(tree.get("hidden", 4 * config.dim))
    writer.add_vocab_size(model.vocab_size)
    if "experts" in tree:
        _add_experts(writer, tree)
    if "theta" not in tree:
        writer.add_layer_norm_eps(1e-5)
        return
    writer.add_layer_norm_rms_eps(tree["eps"])
    writer.add_rope_freq_base(tree["theta"])
    writer.add_rope_dimension_count(tree["head_dim"])
    writer.add_key_length(tree["head_dim"])
    writer.add_value_length(tree["head_dim"])


def _add_experts(writer: Any, tree: Mapping[str, Any]) -> None:
    writer.add_leading_dense_block_count(tree["dense_layers"])
    writer.add_expert_count(tree["experts"])
    writer.add_expert_used_count(tree["active"])
    writer.add_expert_shared_count(tree["shared"])
    writer.add_expert_feed_forward_length(tree["expert_hidden"])
    writer.add_expert_weights_scale(tree["scale"])
    writer.add_expert_weights_norm(True)
    writer.add_expert_gating_func(_library().ExpertGatingFuncType.SIGMOID)


def _add_tokenizer(writer: Any, bundle: Bundle) -> None:
    tokenizer = bundle.tokenizer
    tree = json.loads(tokenizer._backend.to_str())
    added = {token["id"]: token["content"] for token in tree["added_tokens"]}
    tokens = {number: token for token, number in tree["model"]["vocab"].items()} | added
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE[pattern_of(tokenizer)])
    writer.add_token_list([tokens[number] for number in range(tokenizer.vocab_size)])
    writer.add_token_types([CONTROL if number in added else NORMAL for number in range(tokenizer.vocab_size)])
    merges = tree["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    ids = special_ids(bundle)
    for field, add in (
        ("bos", writer.add_bos_token_id),
        ("eos", writer.add_eos_token_id),
        ("pad", writer.add_pad_token_id),
    ):
        if f"{field}_token_id" in ids:
            add(ids[f"{field}_token_id"])
    writer.add_add_bos_token(False)
    if bundle.chats:
        writer.add_eot_token_id(tokenizer.special[END_OF_TURN])
        writer.add_chat_template(TEMPLATE)


def _modelfile(bundle: Bundle) -> str:
    turn = "<|{{ .Role }}|>{{ .Content }}" + END_OF_TURN
    stops = "\n".join(f'PARAMETER stop "{name}"' for name in bundle.tokenizer.special)
    return (
        f'FROM ./model.gguf\nTEMPLATE """{{{{ range .Messages }}}}{turn}{{{{ end }}}}{ASSISTANT}"""\n{stops}\n'
        f"PARAMETER num_ctx {bundle.model.config.length}\nPARAMETER temperature 0.7\nPARAMETER top_p 0.95\n"
    )


def _text(file: Any, field: str) -> str:
    return str(file.get_field(field).contents())


def _tokenizer_of(file: Any) -> Any:
    """The tokenizer that the metadata describe, built anew from them alone."""
    import tokenizers
    from tokenizers import models

    tokens = file.get_field("tokenizer.ggml.tokens").contents()
    kinds = file.get_field("tokenizer.ggml.token_type").contents()
    merges = [tuple(merge.split(" ")) for merge in file.get_field("tokenizer.ggml.merges").contents()]
    vocab = {token: number for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == NORMAL}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    rule = next(name for name, theirs in PRE.items() if theirs == _text(file, "tokenizer.ggml.pre"))
    backend.pre_tokenizer = pre_tokenizer(rule)  # type: ignore[arg-type]
    return backend


def _compare_weights(name: str, ours: Array, theirs: Array, type_: str) -> None:
    """Raises DataError where a weight is further off than its type explains."""
    blocks = np.abs(ours).reshape(-1, BLOCK) if ours.size % BLOCK == 0 else np.abs(ours).reshape(1, -1)
    allowed = ERRORS[type_] * blocks.max(1, keepdims=True) + (1e-7 if type_ != "F32" else 0.0)
    if not (np.abs(ours - theirs).reshape(blocks.shape) <= allowed).all():
        raise DataError(f"the tensor {name!r} came back different from {type_}; nothing was exported")


def _model_of(model: "Model", values: Mapping[str, Array], architecture: str) -> "Model":
    """Our model with the weights that were read back."""
    with torch.device("meta"):
        again = model.config.module(model.vocab_size)
    state = {}
    for (theirs, _), name in zip(_named(model, architecture), model.state_dict(), strict=True):
        value = values[theirs]
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            value = _halves(value, model.config.explicit().tree()["head_dim"])
        state[name] = torch.from_numpy(np.array(value))
    again.load_state_dict(state, assign=True)
    return again.eval()


def _moved(
    bundle: Bundle, again: "Model", quantize: Quantized, reader: str, progress: Reporter
) -> dict[str, str | float]:
    """How far the logits moved: not at all in f32; by what rounding the weights does in the other types."""
    asked = parity.prompts(bundle.tokenizer, bundle.model.config.length)
    theirs = dict(zip(map(tuple, asked), parity.logits(again, asked), strict=True))
    tolerance = parity.TOLERANCE if quantize == "f32" else float("inf")
    worst = parity.compare_logits(
        bundle.model, lambda ids: theirs[tuple(ids)], asked, reader, tolerance, progress=progress
    )
    same = total = 0
    for ids, ours in zip(asked, parity.logits(bundle.model, asked), strict=True):
        same += int((ours.argmax(-1) == theirs[tuple(ids)].argmax(-1)).sum())
        total += len(ids)
    return {
        f"largest difference of a logit, {len(asked)} prompts": worst,
        "likeliest next token": f"the same at {same:,} of {total:,} places",
    }
