"""Memory by formula: what autograd really saves, what a step holds, and what follows when it is too much."""

import pytest
import torch

from groundup.config import Folder
from groundup.layers import moe
from groundup.models._base import Model, ModelConfig
from groundup.models.moe import Moe
from groundup.models.qwen3 import Qwen3
from groundup.optim._base import OptimizerConfig
from groundup.parallel.recompute import recompute
from groundup.plan.activations import around_bytes, block_bytes
from groundup.plan.fit import fitted
from groundup.plan.memory import blocks_of, engine_bytes, footprint, stage_bytes
from groundup.recipe import Recipe

V, T, ROWS = 61, 120, 2
SMALL = {"layers": 2, "dim": 64, "length": T}


def saved_bytes(model: Model, dtype: torch.dtype) -> int:
    """What autograd keeps of a forward pass, weights and casts of them left out."""
    own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage().data_ptr()
        if storage not in own:
            kept[storage] = value
        return value

    tokens = torch.randint(0, V, (ROWS, T))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            hidden = model.train()(tokens)
    assert hidden.requires_grad
    roles = model.roles()
    cast = [
        weight for name, weight in model.named_parameters() if roles[name] == "matrix" and ".gate.weight" not in name
    ]
    casts = 0 if dtype == torch.float32 else 2 * sum(weight.numel() for weight in cast)
    return sum(value.untyped_storage().nbytes() for value in kept.values()) - casts


def variants() -> list[ModelConfig]:
    kinds = [Folder("models").find(name) for name in Folder("models").choices()]
    found = [kind.from_tree(SMALL) for kind in kinds if issubclass(kind, ModelConfig)]
    return [
        *found,
        Qwen3.from_tree({**SMALL, "kv_heads": 2}),
        Folder("models").find("rnn").from_tree({**SMALL, "cell": "mingru"}),
    ]


@pytest.mark.parametrize("config", variants(), ids=lambda config: f"{config.name}-{getattr(config, 'cell', '')}")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_formula_says_what_autograd_saves(
    config: ModelConfig, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every architecture in the folder: a layer that keeps more than its formula says is found here."""
    monkeypatch.setattr(moe, "ROUND", 1)  # up to 63 rows an expert, which count for much beside these few tokens
    model = config.build(V)
    size = 4 if dtype == torch.float32 else 2
    blocks = sum(block_bytes(block, config.dim, T, size, True, "none") for block in blocks_of(model))
    around = around_bytes(model, T, size) - config.dim * size  # what the last norm puts out waits for the head
    assert saved_bytes(model, dtype) == pytest.approx(ROWS * T * (blocks + around), rel=0.03)


@pytest.mark.parametrize("config", [Qwen3(**SMALL), Moe(**SMALL)], ids=lambda config: config.name)
def test_recompute_keeps_less(config: ModelConfig) -> None:
    """By formula; and of full recompute autograd itself is left with what stands around the blocks."""
    model = config.build(V)
    none, selective, full = (
        sum(block_bytes(block, config.dim, T, 4, True, kind) for block in blocks_of(model))
        for kind in ("none", "selective", "full")
    )
    assert full < 0.1 * none and full < selective < 0.75 * none
    for block in blocks_of(model):
        recompute(block, "full")
    assert saved_bytes(model, torch.float32) <= ROWS * T * (around_bytes(model, T, 4) + full)


@pytest.mark.parametrize("name", ["muon", "adamw"])
@pytest.mark.parametrize("config", [Qwen3(**SMALL), Moe(**SMALL)], ids=lambda config: config.name)
def test_weights_and_state_are_what_a_step_leaves(config: ModelConfig, name: str) -> None:
    kind = Folder("optim").find(name)
    assert issubclass(kind, OptimizerConfig)
    model = config.build(V)
    optimizer = kind().build(model, model.roles())
    model.score(torch.randint(0, V, (1, T)), torch.randint(0, V, (1, T))).logp.sum().backward()
    found = footprint(config, V, 1, "fp32", name)
    assert found.gradients == sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)
    optimizer.step(1.0)
    assert found.weights == sum(weight.nbytes for weight in model.parameters())
    state = sum(value.nbytes for value in optimizer.state_dict().values())
    assert found.optimizer == pytest.approx(state, rel=0.01)


def test_the_engine_holds_its_cache_and_a_narrow_copy() -> None:
    config = Qwen3(**SMALL, kv_heads=2)
    cache = config.build(V).new_cache(5, 40, torch.bfloat16)
    held = sum(part.nbytes for layer in cache.layers for part in layer)
    copied = 2 * config.parameters_count(V) - V * config.dim  # all in two layouts, but the table of embeddings
    assert engine_bytes(config, V, 5, 40, "bf16") == held + 2 * copied + 2 * 5 * V * 4
    assert engine_bytes(config, V, 5, 40, "fp32") == 2 * held + 2 * 5 * V * 4


def test_each_stage_has_its_peak_and_one_that_is_left_out_has_none() -> None:
    recipe = Recipe.from_tree({"model": SMALL, "sft": {"steps": 0}, "train": {"rows": 64}})
    found = stage_bytes(recipe, V)
    assert list(found) == ["pretrain", "grpo"]
    halved = stage_bytes(recipe.override("train.micro_rows=32"), V)
    assert halved["pretrain"] < found["pretrain"] and halved["grpo"] == found["grpo"]


def test_memory_grows_with_rows_and_shrinks_with_precision_and_recompute() -> None:
    config = Qwen3(layers=4, dim=128, heads=2, length=256)
    peaks = [footprint(config, 4096, rows, "fp32", "muon").peak for rows in (8, 16, 64)]
    assert peaks == sorted(peaks)
    assert footprint(config, 4096, 64, "bf16", "muon").peak < peaks[-1]
    kinds = [footprint(config, 4096, 64, "bf16", "muon", recompute=kind).peak for kind in ("none", "selective", "full")]
    assert kinds == sorted(kinds, reverse=True)


def test_micros_recompute_and_precision_follow_from_what_is_free() -> None:
    """The rows of a step stay; what is set by hand stays too."""
    shape = {"layers": 8, "dim": 256, "heads": 4, "length": 512}
    recipe = Recipe.from_tree({"model": shape, "train": {"rows": 64}, "sft": {"steps": 0}, "grpo": {"steps": 0}})

    def held(*pairs: str) -> int:
        return stage_bytes(recipe.override(*pairs), V)["pretrain"]

    def found(room: int, pinned: tuple[str, ...] = (), precisions: tuple[str, ...] = ("fp32",)) -> dict[str, object]:
        return fitted(recipe, V, room, "cpu", pinned, precisions)

    assert found(held()) == {}
    assert found(held() - 1) == {"train": {"micro_rows": 32}}
    assert found(held("train.micro_rows=4")) == {"train": {"micro_rows": 4}}
    few = held("train.micro_rows=2") - 1  # fewer than two rows would leave the machine idle
    assert found(few) == {"parallel": {"recompute": "selective"}, "train": {"micro_rows": 2}}
    assert found(few, ("parallel.recompute",)) == {"train": {"micro_rows": 1}}
    assert found(few, ("train.micro_rows",))["parallel"] == {"recompute": "full"}
    least = held("train.micro_rows=1", "parallel.recompute=full")
    assert found(least) == {"parallel": {"recompute": "full"}, "train": {"micro_rows": 1}}
    narrow = held("train.micro_rows=1", "parallel.recompute=full", "precision=bf16")
    assert narrow < least
    assert found(narrow, (), ("fp32", "bf16"))["precision"] == "bf16"
