"""What holds for every architecture in the folder, whatever its options."""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Literal, get_args, get_origin

import pytest
import torch

from groundup.config import Folder
from groundup.models._base import Model, ModelConfig

V, T = 50, 20
SMALL = {"layers": 2, "dim": 32, "length": 24}


def variants() -> Iterator[ModelConfig]:
    """Each file of the folder, with each value of each choice it has, and with fewer key heads where it has those."""
    folder = Folder("models")
    for name in folder.choices():
        kind = folder.find(name)
        assert issubclass(kind, ModelConfig)
        yield kind.from_tree(SMALL)
        for field, info in kind.model_fields.items():
            options = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
            options = (True, False) if info.annotation is bool else options
            options = (2,) if field == "kv_heads" else options
            yield from (kind.from_tree({**SMALL, field: value}) for value in options if value != info.default)


def label(config: ModelConfig) -> str:
    changed = {
        key: value for key, value in config if key not in SMALL and value != type(config).model_fields[key].default
    }
    return "-".join([config.name, *(f"{key}={value}" for key, value in changed.items())])


every = pytest.mark.parametrize("config", list(variants()), ids=label)


def build(config: ModelConfig) -> Model:
    """The model with weights that are all alive: nothing starts at zero, and every branch counts."""
    model = config.build(V)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    return model.eval()


@every
def test_cached_equals_uncached(config: ModelConfig) -> None:
    model, tokens = build(config), torch.randint(0, V, (3, T))
    with torch.inference_mode():
        cache = model.new_cache(3, 24)
        parts = [model(part, cache=cache) for part in tokens.split((6, 1, 1, 4, 1, 7), 1)]
        torch.testing.assert_close(torch.cat(parts, 1), model(tokens), atol=1e-5, rtol=1e-4)
    assert cache.lengths.tolist() == [T] * 3


@every
def test_cached_rows_may_stand_at_different_places(config: ModelConfig) -> None:
    """Prompts of unequal lengths are read padded, each goes on from its own end, and rows may move."""
    model, tokens, counts = build(config), torch.randint(0, V, (3, T)), torch.tensor([9, 2, 5])
    with torch.inference_mode():
        whole = model(tokens)
        cache = model.new_cache(4, 24)
        model(tokens[:, :9], cache=cache.slice(0, 3, counts))
        for ahead in range(4):
            if ahead == 2:
                cache.copy(cache, [2], [3])
                cache.copy(cache, [0], [2])
                cache.copy(cache, [3], [0])
                counts, tokens, whole = (x[[2, 1, 0]] for x in (counts, tokens, whole))
            places = counts + ahead
            hidden = model(tokens.gather(1, places[:, None]), cache=cache.slice(0, 3))
            torch.testing.assert_close(hidden[:, 0], whole[torch.arange(3), places], atol=1e-5, rtol=1e-4)


@every
def test_packed_equals_separate(config: ModelConfig) -> None:
    model, tokens, sizes = build(config), torch.randint(0, V, (2, T)), (8, 1, 4, 7)
    segments = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes)).expand(2, T)
    positions = torch.cat([torch.arange(size) for size in sizes]).expand(2, T)
    with torch.no_grad():
        packed = model(tokens, positions=positions, segments=segments)
        separate = torch.cat([model(part) for part in tokens.split(sizes, 1)], 1)
    torch.testing.assert_close(packed, separate, atol=1e-5, rtol=1e-4)


@every
def test_nothing_sees_what_comes_after(config: ModelConfig) -> None:
    model, tokens = build(config), torch.randint(0, V, (1, T))
    changed = tokens.clone()
    changed[:, 12] = (changed[:, 12] + 1) % V
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    torch.testing.assert_close(
        before[:, :12], after[:, :12], atol=1e-6, rtol=1e-5
    )  # experts round by how many they read
    assert not before[:, 12:].isclose(after[:, 12:]).all(-1).any()


@every
def test_gradients_reach_every_parameter(config: ModelConfig) -> None:
    model, tokens = build(config), torch.randint(0, V, (2, T))
    model.score(tokens, tokens.roll(-1, 1)).logp.sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@every
def test_work_is_counted(config: ModelConfig) -> None:
    assert config.flops_per_token(V, 2 * T) >= config.flops_per_token(V, T) > 6 * 32 * V


@every
def test_declared_splits_name_parameters(config: ModelConfig) -> None:
    names = {name.removesuffix(".weight") for name, _ in build(config).named_parameters()} | {"lm_head"}
    for pattern in build(config).shards:
        assert any(fnmatch(name, pattern) for name in names), pattern
