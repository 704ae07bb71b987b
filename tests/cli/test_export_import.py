"""`groundup export` and `groundup import` on a finished run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from formats.bundles import CONFIGS, bundle
from groundup.config import read_toml
from groundup.formats.huggingface import Huggingface
from groundup.store import Store
from servers import hub, serving
from spine import Said, as_json, groundup, write_text

Say = Callable[..., Said]
STEPS = (
    "train.steps=0", "sft.steps=2", "sft.rows=4", "sft.conversations=40", "sft.arithmetic=20", "sft.probe_steps=1",
    "grpo.steps=1", "grpo.rows=4", "grpo.group=2", "grpo.max_tokens=4", "eval.arithmetic=2", "eval.passages=0",
    "eval.functions=0", "eval.yardsticks=false",
)  # fmt: skip


def test_a_run_goes_out_and_comes_back(say: Say, place: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    shutil.copytree(place / "runs", tmp_path / "runs")
    said = say("export", "tiny", "--to", "huggingface", "out", "--json")
    facts = json.loads(said.out)
    assert (said.status, facts["stage"], facts["folder"]) == (0, "grpo", "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for part in ("# tiny", "trained from the ground up", "Bits per byte", "## Where it comes from", "| corpus |"):
        assert part in card
    assert say("import", "out", "--name", "back").status == 0
    shown = json.loads(say("show", "back", "--json").out)
    assert [(entry["stage"], entry["state"]) for entry in shown["stages"]][:2] == [
        ("import", "done"),
        ("corpus", "to do"),
    ]
    assert {entry["from"] for entry in shown["settings"].values()} == {"import"}
    words = ("--say", "What is 2 + 3?", "--max-tokens", "6", "--temperature", "0")
    assert say("chat", "back", *words).out == say("chat", "tiny", *words).out
    assert say("export", "back", "--to", "huggingface", "again").status == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "again")]
    assert weights[0] == weights[1]
    assert "import of `out`" in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert "already; choose another --name" in say("import", "out", "--name", "back").err


def test_a_model_of_the_hub_is_fetched_once(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = bundle(CONFIGS[2])
    (tmp_path / "model").mkdir()
    Huggingface().write(made, tmp_path / "model")
    names = [path.name for path in (tmp_path / "model").iterdir()]
    root = f"/some/llama/resolve/{'c' * 40}/"
    files = {root + name: (tmp_path / "model" / name).read_bytes() for name in names}
    with serving(files, hub("some/llama", {}, "models")) as served:
        said = say("import", "hub:some/llama", "--hub", served.url, "--json")
        assert said.status == 0, said.err
        told = json.loads(said.out)
        assert (told["run"], told["facts"]["folder"]) == ("llama", "some/llama")
        assert root + "README.md" not in served.asked and root + "config.json" in served.asked
        refused = say("import", "hub:some/other", "--hub", served.url)
        assert refused.status == 2 and "hub:some/other: not to be had from the hub" in refused.err
    kept = Store(tmp_path / "runs" / "llama").current()["import"].path / "weights.safetensors"
    torch.testing.assert_close(load_file(kept), made.model.state_dict(), rtol=0, atol=0)
    assert say("import", "hub:some/llama", "--name", "again").status == 0, "the hub is not asked again"


def test_mistakes_are_named(say: Say, place: Path, tmp_path: Path) -> None:
    for words, told in (
        (("export", "tiny", "--to", "huggingfac"), "did you mean 'huggingface'"),
        (("export", "tinny", "--to", "gguf"), "did you mean 'tiny'"),
        (("export", "tiny", "--to", "gguf", "--quantize", "q5"), "quantize: Input should be"),
        (("export", "tiny", "--to", "onnx", "--quantize", "int8"), "quantize: there is no such setting"),
        (("export", "tiny", "--to", "huggingface", "a", "b"), "one folder is enough"),
        (("export", "tiny", "--to", "huggingface", tmp_path), "is no earlier export"),
        (("import", tmp_path, "--name", "x"), "config.json: there is no such file"),
        (("import", tmp_path, "--name", "../x"), "run name"),
    ):
        (tmp_path / "mine.txt").touch()
        said = say(*words, "--runs", place / "runs")
        assert (said.status, told in said.err) == (2, True), said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_an_imported_model_is_fine_tuned_and_goes_on(tmp_path: Path) -> None:
    """With no step of pretraining its weights are where fine-tuning begins; with some, where pretraining does."""
    write_text(tmp_path / "text")
    made = bundle(CONFIGS[4].model_copy(update={"length": 128}))
    (tmp_path / "model").mkdir()
    Huggingface().write(made, tmp_path / "model")
    groundup("import", "model", "--name", "mine", cwd=tmp_path)
    store = Store(tmp_path / "runs" / "mine")
    given = store.current()["import"]
    done = as_json("run", "mine", "--data", "text", *STEPS, cwd=tmp_path)
    assert done["done"] == ["corpus", "tokenizer", "tokens", "pretrain", "sft", "grpo", "eval", "report"]
    facts = store.facts()
    assert facts["pretrain"]["weights_sha256"] == given.facts["weights_sha256"] != facts["sft"]["weights_sha256"]
    assert store.current()["pretrain"].parents[-1] == given.fingerprint
    assert read_toml(store.root / "recipe.toml")["model"]["dim"] == 32
    words = ("train.steps=3", "train.rows=4", "train.warmup=1")
    assert "pretrain" in as_json("run", "mine", *words, cwd=tmp_path)["done"]
    assert store.facts()["pretrain"]["weights_sha256"] != given.facts["weights_sha256"]
    assert "nothing to do" in groundup("run", "mine", cwd=tmp_path).stdout
    assert groundup("chat", "mine", "--stage", "import", "--say", "Hi", cwd=tmp_path).returncode == 0
