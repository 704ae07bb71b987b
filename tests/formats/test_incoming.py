"""What stock transformers made comes in as it is, goes out as it was, and what we cannot compute is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from formats.bundles import tokenizer
from groundup.corpus.conversation import Message
from groundup.errors import DataError, UnsupportedError
from groundup.formats._base import Bundle, Precision
from groundup.formats._vocabulary import read_tokenizer
from groundup.formats.huggingface import Huggingface
from groundup.formats.incoming import read
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import END_OF_TEXT, SPECIAL

transformers = pytest.importorskip("transformers")
V = 400
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
LLAMA = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 64,
}  # fmt: skip
QWEN3 = {**LLAMA, "head_dim": 16}


def rope(theta: float) -> dict[str, Any]:
    """transformers' way to say it."""
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


VARIANTS = [
    ("GPT2", GPT2, "fp32"),
    ("GPT2", {**GPT2, "tie_word_embeddings": False}, "bf16"),
    ("Llama", LLAMA, "fp32"),
    ("Llama", {**LLAMA, "num_key_value_heads": 4, "tie_word_embeddings": True, **rope(5e5)}, "fp16"),
    ("Llama", {**LLAMA, "head_dim": 16, "rms_norm_eps": 1e-5}, "bf16"),
    ("Qwen3", QWEN3, "fp32"),
    ("Qwen3", {**QWEN3, "num_key_value_heads": 1, "tie_word_embeddings": True, **rope(1e6)}, "bf16"),
]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def made(folder: Path, kind: str, settings: dict[str, Any], precision: str = "fp32", vocab_size: int = V) -> Any:
    """A model that transformers made, with random weights, in `folder` with our tokenizer."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(vocab_size=vocab_size, **settings)
    model = getattr(transformers, f"{kind}LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM")(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape), alpha=0.1)
    model.to(DTYPES[precision]).save_pretrained(folder)
    tokenizer().save(folder)
    return type(model).from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize(("kind", "settings", "precision"), VARIANTS)
def test_in_and_out_again_leaves_every_bit(
    kind: str, settings: dict[str, Any], precision: Precision, tmp_path: Path
) -> None:
    theirs = made(tmp_path / "a", kind, settings, precision)
    given = read(tmp_path / "a")
    assert given.notes == []
    tokens = torch.randint(0, V, (2, 60))
    with torch.inference_mode():
        ours = given.model.logits(given.model(tokens))
        torch.testing.assert_close(ours, theirs(tokens).logits, atol=1e-4, rtol=1e-4)
    (tmp_path / "b").mkdir()
    Huggingface(precision=precision).write(Bundle("b", "import", given.model, given.tokenizer), tmp_path / "b")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value.dtype == after[name].dtype and value.equal(after[name]), name
    config = json.loads((tmp_path / "b" / "config.json").read_text(encoding="utf-8"))
    for field, value in settings.items():
        assert config[field] == value


@pytest.mark.parametrize(
    ("kind", "field", "value", "told"),
    [
        ("Llama", "rope_scaling", {"type": "linear", "factor": 2.0}, "rope_scaling.factor=2.0|rope_scaling.type"),
        ("Llama", "rope_parameters", {"rope_type": "llama3", "rope_theta": 1e4}, "rope_parameters.rope_type='llama3'"),
        ("Llama", "rope_parameters", {"rope_theta": 1e4, "partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
        ("Llama", "attention_bias", True, "attention_bias=True"),
        ("Llama", "mlp_bias", True, "mlp_bias=True"),
        ("Llama", "hidden_act", "relu", "hidden_act='relu'"),
        ("Qwen3", "use_sliding_window", True, "use_sliding_window=True"),
        ("Qwen3", "layer_types", ["full_attention", "sliding_attention"], "layer_types="),
        ("GPT2", "activation_function", "relu", "activation_function='relu'"),
        ("GPT2", "scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx=True"),
        ("GPT2", "layer_norm_epsilon", 1e-6, "layer_norm_epsilon=1e-06"),
        ("GPT2", "architectures", ["GptNeoForCausalLM"], "architectures=GptNeoForCausalLM"),
    ],
)
def test_what_we_do_not_compute_is_refused_by_field(
    kind: str, field: str, value: Any, told: str, tmp_path: Path
) -> None:
    made(tmp_path, kind, {"GPT2": GPT2, "Llama": LLAMA, "Qwen3": QWEN3}[kind])
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), field: value}), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=told):
        read(tmp_path)


def test_a_folder_that_is_not_whole_is_named(tmp_path: Path) -> None:
    made(tmp_path, "Llama", LLAMA)
    weights = load_file(tmp_path / "model.safetensors")
    for changed, told in (
        (
            {**weights, "model.layers.0.self_attn.q_proj.bias": torch.zeros(32)},
            r"hold 'layers.0.self_attn.q_proj.bias'",
        ),
        ({name: value for name, value in weights.items() if "norm" not in name}, "lack 'layers.0.input_layernorm"),
        ({**weights, "model.norm.weight": torch.ones(31)}, r"'norm.weight' is \(31,\)"),
    ):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises((UnsupportedError, DataError), match=told):
            read(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="pickle"):
        read(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(DataError, match=r"config.json: there is no such file"):
        read(tmp_path)


def test_weights_in_several_files_and_a_long_context(tmp_path: Path) -> None:
    model = made(tmp_path, "Qwen3", {**QWEN3, "max_position_embeddings": 4096})
    whole = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    given = read(tmp_path)
    assert given.model.config.length == 2048 and "4,096" in given.notes[0]
    assert given.model.state_dict()["norm.weight"].equal(whole["model.norm.weight"])
    assert read(tmp_path, length=100).model.config.length == 100
    with pytest.raises(DataError, match="--length 5000"):
        read(tmp_path, length=5000)


def foreign(path: Path, **changed: Any) -> dict[str, Any]:
    """A tokenizer.json in the manner of GPT-2: other names, a template around the text, a token that is not special."""
    tree = json.loads(tokenizer()._backend.to_str())
    keep = [token for token in tree["added_tokens"] if token["content"] == END_OF_TEXT]
    keep[0]["content"] = "<|endoftext|>"
    keep.append({**keep[0], "id": keep[0]["id"] + 1, "content": "<think>", "special": False, "normalized": True})
    tree |= {"added_tokens": keep, "post_processor": {"type": "ByteLevel", "trim_offsets": False}, **changed}
    path.write_text(json.dumps(tree), encoding="utf-8")
    return dict(tree)


def test_a_foreign_tokenizer_gets_room_for_a_chat(tmp_path: Path) -> None:
    made(tmp_path, "Llama", LLAMA, vocab_size=300)
    foreign(tmp_path / "tokenizer.json", normalizer={"type": "NFC"})
    given = read(tmp_path)
    learned = given.tokenizer
    assert set(SPECIAL) == set(learned.special) and learned.special[END_OF_TEXT] == 296
    assert learned.vocab_size == given.model.vocab_size == 304, "after <think> two of the missing six fit, four are new"
    table, head = given.model.embedding.weight, given.model.head_weight
    before = load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"]
    assert table[:300].equal(before) and torch.allclose(table[300:], before.mean(0)) and len(head) == 304
    for text in ("How do you do? <think>x</think>", "e\u0301", *SPECIAL):
        ids = learned.encode(text)
        assert learned.decode(ids) == text and max(ids) < 296
    assert any("NFC" in note for note in given.notes) and any("fine-tuned" in note for note in given.notes)
    assert Chat(learned).prompt((Message("user", "hi"),))[0] == learned.special["<|user|>"]


def test_a_tokenizer_of_a_rounded_up_vocabulary_names_every_id(tmp_path: Path) -> None:
    foreign(tmp_path / "t.json")
    learned, _ = read_tokenizer(tmp_path / "t.json", 512)
    assert learned.vocab_size == 512
    assert learned.decode([511]) == ""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "normalizer='Lowercase'"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
         "add_prefix_space"),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}}, "Metaspace"),
        ({"model": {"type": "BPE"}}, "no vocabulary"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_loses_text_is_refused(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    foreign(tmp_path / "t.json", **changed)
    with pytest.raises((UnsupportedError, DataError), match=told):
        read_tokenizer(tmp_path / "t.json", 512)
    with pytest.raises(DataError, match="another model's"):
        foreign(tmp_path / "t.json")
        read_tokenizer(tmp_path / "t.json", 100)
