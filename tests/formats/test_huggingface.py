"""What is exported is what stock transformers opens, and what differs is not exported."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from formats.bundles import CONFIGS, MOE, SMALL, bundle, label, tokenizer
from groundup.corpus.conversation import Message
from groundup.errors import DataError, UnsupportedError
from groundup.events import SILENT
from groundup.formats._base import Bundle
from groundup.formats.huggingface import Huggingface
from groundup.formats.incoming import read_model
from groundup.formats.parity import N_TEXTS, texts
from groundup.formats.publish import MANIFEST, export
from groundup.models._base import ModelConfig
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import END_OF_TURN, SPECIAL

transformers = pytest.importorskip("transformers")
FIGURE = "largest difference of a logit, 64 prompts"


class Damaged(Huggingface):
    """Writes one weight that is not the model's."""

    def write(self, bundle: Bundle, folder: Path) -> None:
        """As it should be, but for one number."""
        super().write(bundle, folder)
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"][3] += 0.01
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


class Misspelt(Huggingface):
    """Writes a tokenizer whose last two tokens have changed places."""

    def write(self, bundle: Bundle, folder: Path) -> None:
        """As it should be, but for two ids."""
        super().write(bundle, folder)
        tree = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        vocab = tree["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
        (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")


@pytest.mark.parametrize("config", [*CONFIGS, MOE], ids=label)
def test_stock_classes_open_every_architecture(config: ModelConfig, tmp_path: Path) -> None:
    made = bundle(config)
    parity = export(Huggingface(), made, tmp_path / "out")
    assert parity.reader.startswith("transformers")
    assert 0 < float(parity.figures[FIGURE]) <= 1e-4
    assert parity.figures["token ids of strings"] == "1,000 of 1,000 identical"
    model, info = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "out"), output_loading_info=True)
    assert type(model).__name__ == made.model.exports["huggingface"]
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.tie_word_embeddings is config.tied
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "README.md", "config.json", "generation_config.json", MANIFEST, "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip


def test_the_card_and_the_manifest_say_what_was_found(tmp_path: Path) -> None:
    export(Huggingface(precision="bf16"), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for part in ("# small", "Made for a test.", "1,000 of 1,000 identical", "sft stage", "precision bf16", FIGURE):
        assert part in card
    facts = json.loads((tmp_path / "out" / MANIFEST).read_text(encoding="utf-8"))
    assert (facts["run"], facts["stage"], facts["format"]) == ("small", "sft", "huggingface")
    assert facts["parity"][FIGURE] <= 1e-4
    assert {value.dtype for value in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


def test_text_that_spells_a_special_token_stays_text(tmp_path: Path) -> None:
    export(Huggingface(), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    theirs: Any = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "out"))
    asked = [text for text in texts() if any(name in text for name in SPECIAL)]
    assert len(texts()) == N_TEXTS and len(set(texts())) > 0.98 * N_TEXTS and len(asked) > 100
    for text in asked:
        ids = theirs(text, split_special_tokens=True)["input_ids"]
        assert ids == tokenizer().encode(text)
        assert not set(ids) & set(tokenizer().special.values())


def test_generation_stops_at_the_end_of_the_turn(tmp_path: Path) -> None:
    """A model that always says "end of turn": every embedding is one vector, and the head knows it."""
    made = bundle(Qwen3.from_tree(SMALL), alive=0.0)
    end = tokenizer().special[END_OF_TURN]
    with torch.no_grad():
        made.model.embedding.weight.fill_(1.0)
        assert made.model.lm_head is not None
        made.model.lm_head.weight.zero_()
        made.model.lm_head.weight[end] = 1.0
    parity = export(Huggingface(), made, tmp_path / "out")
    assert parity.figures["greedy replies"] == "8 of 8 identical, 8 of them end by themselves"
    model = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "out"))
    prompt = Chat(tokenizer()).prompt((Message("user", "How do you do?"),))
    said = model.generate(torch.tensor([prompt]), max_new_tokens=20)[0, len(prompt) :]
    assert said.tolist() == [end]


def test_a_model_without_a_stock_class_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"model 'rnn' has no form in huggingface.*safetensors"):
        export(Huggingface(), bundle(Rnn(layers=1, dim=32, length=64)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "told"), [(Damaged, "the logits of transformers"), (Misspelt, "string [0-9]+: tr")])
def test_what_differs_is_not_exported(format: type[Huggingface], told: str, tmp_path: Path) -> None:
    export(Huggingface(), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    with pytest.raises(DataError, match=f"{told}.*nothing was exported"):
        export(format(), bundle(Qwen3.from_tree(SMALL)), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before, "the export before it is left alone"


def test_a_folder_of_the_users_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Once", encoding="utf-8")
    with pytest.raises(DataError, match="no earlier export"):
        export(Huggingface(), bundle(Qwen3.from_tree(SMALL)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["novel.txt"]


@pytest.mark.parametrize("config", [*CONFIGS[::3], MOE], ids=label)
def test_our_own_reader_stands_in_for_transformers(config: ModelConfig, tmp_path: Path) -> None:
    made = bundle(config)
    Huggingface().write(made, tmp_path)
    parity = Huggingface()._own(made, tmp_path, SILENT)
    assert float(parity.figures[FIGURE]) < 1e-6
    assert parity.figures["prompts by the chat template"] == "50 of 50 identical"
    again = read_model(tmp_path)
    assert again.config == config.explicit()
    assert all(again.state_dict()[name].equal(value) for name, value in made.model.state_dict().items())
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match="not a safetensors file"):
        read_model(tmp_path)
