"""Adapters on every architecture: nothing at first, all the training, exact when merged, the same after a file."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from groundup.config import Folder
from groundup.errors import ConfigError, DataError, UnsupportedError
from groundup.layers.freeze import freeze
from groundup.layers.lora import Lora, adapt, adapted, drop, merge, use
from groundup.layers.nf4 import to_four_bits
from groundup.layers.peft import load_adapter, save_adapter
from groundup.models._base import Model, ModelConfig

V = 50
TARGETS = {"gpt2": ("c_attn", "c_proj", "c_fc"), "rnn": ("*_proj",)}


def model(name: str = "qwen3") -> Model:
    kind = Folder("models").find(name)
    assert issubclass(kind, ModelConfig)
    made = kind.from_tree({"layers": 2, "dim": 32, "length": 16}).build(V)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim == 2:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))
    return made


def shape(name: str = "qwen3", **fields: object) -> Lora:
    return Lora.from_tree({"rank": 4, "targets": TARGETS.get(name, ("*_proj",)), **fields})


def stir(net: Model, name: str = "default", seed: int = 2) -> None:
    """Give an adapter something to say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for adapter in (module.adapters[name] for _, module in adapted(net) if name in module.adapters):
            adapter.lora_B.normal_(0, 0.1, generator=generator)
            if adapter.magnitude is not None:
                adapter.magnitude.mul_(1 + 0.2 * torch.rand(len(adapter.magnitude), generator=generator))


TOKENS = torch.randint(V, (3, 12), generator=torch.Generator().manual_seed(0))


def says(net: Model, tokens: Tensor = TOKENS) -> Tensor:
    with torch.no_grad():
        return net.eval().logits(net(tokens))


def close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * b.norm())


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", Folder("models").choices())
def test_an_adapter_is_nothing_at_first_trains_alone_and_merges_exactly(name: str, dora: bool) -> None:
    net = model(name)
    before = says(net)
    names = adapt(net, shape(name, dora=dora))
    assert len(names) > 4 and close(says(net), before)
    trained = {path for path, weight in net.named_parameters() if weight.requires_grad}
    assert trained and all(".adapters.default." in path for path in trained)
    stir(net)
    net.score(TOKENS[:, :-1], TOKENS[:, 1:]).logp.sum().backward()
    for path, weight in net.named_parameters():
        assert (weight.grad is not None and weight.grad.any()) == (path in trained), path
    stirred = says(net)
    assert not close(stirred, before)
    merge(net)
    assert close(says(net), stirred)
    assert [path for path, _ in net.named_parameters()] == [path for path, _ in model(name).named_parameters()]


def test_several_adapters_answer_row_by_row() -> None:
    net = model()
    plain = says(net)
    for seed, name in enumerate(("first", "second")):
        adapt(net, shape(dora=name == "second", targets=("q_proj",) if seed else ("*_proj",)), name)
        stir(net, name, seed)
    alone = {}
    for name in ("first", "second", None):
        use(net, name)
        alone[name] = says(net)
    assert close(alone[None], plain)
    use(net, ["second", None, "first"])
    mixed = says(net)
    for row, name in enumerate(("second", None, "first")):
        assert close(mixed[row], alone[name][row])
    drop(net, "first")
    use(net, "second")
    assert close(says(net), alone["second"])
    assert sum(1 for _ in adapted(net)) == 2
    drop(net, "second")
    assert torch.equal(says(net), plain)


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_survives_its_file(tmp_path: Path, dora: bool) -> None:
    net, other = model(), model()
    adapt(net, shape(dora=dora, targets=("q_proj", "layers.1.mlp.*")))
    stir(net)
    save_adapter(net, tmp_path / "one")
    config = json.loads((tmp_path / "one" / "adapter_config.json").read_text())
    assert "model.layers.1.mlp.up_proj" in config["target_modules"]
    assert load_adapter(other, tmp_path / "one", name="again").rank == 4
    assert torch.equal(says(other), says(net))


def test_four_bit_weights_train_through_an_adapter_and_merge() -> None:
    net = model()
    to_four_bits(net, ["*_proj"])
    adapt(net, shape())
    stir(net)
    net.score(TOKENS[:, :-1], TOKENS[:, 1:]).logp.sum().backward()
    assert all(weight.grad is not None for weight in net.parameters() if weight.requires_grad)
    stirred = says(net)
    assert close(says(merge(net)), stirred)


def test_dropout_is_for_training_only() -> None:
    net = model()
    adapt(net, shape(dropout=0.5))
    stir(net)
    assert torch.equal(says(net), says(net))
    net.train()
    with torch.no_grad():
        assert not torch.equal(net(TOKENS), net(TOKENS))


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    net = model()
    with pytest.raises(ConfigError, match="no name matches 'k_prj'; did you mean 'k_proj'"):
        adapt(net, shape(targets=("k_prj",)))
    with pytest.raises(ConfigError, match="no name matches 'lm_head'"):
        adapt(net, shape(targets=("lm_head",)))
    with pytest.raises(DataError, match="no adapter"):
        save_adapter(net, tmp_path)
    adapt(net, shape())
    with pytest.raises(ConfigError, match="already"):
        adapt(net, shape())
    with pytest.raises(ConfigError, match="no adapter 'other'; it has: default"):
        use(net, "other")
    adapt(net, shape(), "other")
    with pytest.raises(UnsupportedError, match="would lose the adapters default"):
        merge(net, "other")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [("bias", "all", "bias is 'all'"), ("peft_type", "IA3", "LORA"), ("use_rslora", True, "use_rslora")],
)
def test_adapters_that_ours_cannot_hold_are_refused(tmp_path: Path, field: str, value: object, complaint: str) -> None:
    net = model()
    adapt(net, shape())
    save_adapter(net, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(UnsupportedError, match=complaint):
        load_adapter(model(), tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    net = model()
    adapt(net, shape())
    save_adapter(net, tmp_path)
    with pytest.raises(DataError, match="is not so in this model"):
        load_adapter(model("gpt2"), tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read as the weights"):
        load_adapter(model(), tmp_path)


def test_freezing_by_pattern() -> None:
    net = model()
    n = freeze(net, ["embed_tokens", "layers.0"])
    frozen = {name for name, weight in net.named_parameters() if not weight.requires_grad}
    assert frozen == {name for name, _ in net.named_parameters() if name.startswith(("embed_tokens", "layers.0."))}
    assert n == sum(weight.numel() for weight in net.parameters() if not weight.requires_grad)
    with pytest.raises(ConfigError, match="no name matches 'layer'; did you mean 'layers'"):
        freeze(model(), ["layer"])
