"""Checkpoints: exact, whole or not at all, checked when read; weights whose file depends on nothing but them."""

import hashlib
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.errors import ResourceError, StoreError
from groundup.events import Silent
from groundup.models.qwen3 import Qwen3
from groundup.train import checkpoint
from groundup.train.checkpoint import load, load_weights, save, save_weights, weights
from train import toy


class Heard(Silent):
    """Remembers what was noticed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


STATE: dict[str, Any] = {
    "plain": [1, 2.5, "three", None, True, 0.1 + 0.2],
    "deep": {"a.b/c": torch.arange(6).view(2, 3), "scalar": torch.tensor(1.5), "none": []},
    "narrow": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "list": [torch.ones(2), {"more": torch.zeros(0)}],
}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_a_state_comes_back_exactly(tmp_path: Path) -> None:
    save(tmp_path, 7, STATE)
    assert equal(load(tmp_path), STATE)


def test_views_of_one_memory_come_back_as_their_own_values(tmp_path: Path) -> None:
    table = torch.arange(12).view(3, 4)
    save(tmp_path, 1, {"tokens": table[:, :-1], "targets": table[:, 1:], "again": table})
    back = load(tmp_path)
    assert back is not None
    assert torch.equal(back["tokens"], table[:, :-1]) and torch.equal(back["targets"], table[:, 1:])


def test_the_newest_are_kept_and_nothing_else_lies_about(tmp_path: Path) -> None:
    for done in (5, 10, 100):
        save(tmp_path, done, {"done": done}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000100"]
    assert load(tmp_path) == {"done": 100}
    save(tmp_path, 100, {"done": "again"})
    assert load(tmp_path) == {"done": "again"}


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path / "missing") is None


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", [cut_in_half, flip_a_bit, Path.unlink])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path, name: str, damage: Any) -> None:
    save(tmp_path, 1, {**STATE, "done": 1})
    damage(save(tmp_path, 2, {**STATE, "done": 2}) / name)
    heard = Heard()
    back = load(tmp_path, heard)
    assert back is not None and back["done"] == 1
    assert len(heard.texts) == 1 and "step-000000002 is damaged" in heard.texts[0]
    shutil.rmtree(tmp_path / "step-000000001")
    assert load(tmp_path, heard) is None


def test_a_value_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path, 1, {"done": 1}) / "state.json"
    path.write_text(path.read_text().replace('"tree": {"done": 1}', '"tree": {"done": 3}'))
    heard = Heard()
    assert load(tmp_path, heard) is None
    assert "checksum" in heard.texts[0]


def test_a_save_that_was_cut_off_is_not_seen_and_is_cleared_away(tmp_path: Path) -> None:
    save(tmp_path, 1, {"done": 1})
    left_over = tmp_path / ".step-000000002.partial"
    left_over.mkdir()
    (left_over / "tensors.safetensors").write_bytes(b"half")
    assert load(tmp_path) == {"done": 1}
    save(tmp_path, 3, {"done": 3})
    assert not left_over.exists()


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, {"done": 1})
    monkeypatch.setattr(checkpoint, "FORMAT", 0)
    with pytest.raises(StoreError, match="use a newer groundup"):
        load(tmp_path)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="a limit on the size of files stands for a full disk")
    save(tmp_path, 1, {"done": 1})
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
        with pytest.raises(ResourceError, match="free some space"):
            save(tmp_path, 2, {"big": torch.zeros(1 << 18)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert load(tmp_path) == {"done": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_equal_weights_give_equal_files_and_other_weights_others(tmp_path: Path) -> None:
    digests = {name: save_weights(toy.model(seed), tmp_path / name) for name, seed in (("a", 0), ("b", 0), ("c", 1))}
    assert digests["a"] == digests["b"] != digests["c"]
    assert digests["a"] == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


@pytest.mark.parametrize("tied", [False, True])
def test_weights_come_back_and_a_tied_matrix_is_stored_once(tmp_path: Path, tied: bool) -> None:
    first, second = toy.model(0, tied=tied), toy.model(1, tied=tied)
    save_weights(first, tmp_path / "weights.safetensors")
    load_weights(second, tmp_path / "weights.safetensors")
    assert toy.same(first, second)
    assert ("lm_head.weight" in weights(first)) == (not tied)


def test_weights_of_another_shape_or_a_broken_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(toy.model(), path)
    wider = Qwen3(layers=2, dim=64, heads=2, length=toy.T).build(toy.V)
    with pytest.raises(StoreError, match=r"weights.safetensors: '.*' is \(.*\) and the model's is"):
        load_weights(wider, path)
    with pytest.raises(StoreError, match=r"lacks 'layers.2"):
        load_weights(Qwen3(layers=3, dim=32, heads=2, length=toy.T).build(toy.V), path)
    cut_in_half(path)
    with pytest.raises(StoreError, match="cannot be read"):
        load_weights(toy.model(), path)
