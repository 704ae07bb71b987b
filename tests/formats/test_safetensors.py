"""Our own form holds every architecture, whole or in few bits, and comes back as it went."""

from pathlib import Path

import pytest
import torch

from formats.bundles import CONFIGS, SMALL, bundle, label
from groundup.errors import DataError
from groundup.formats.publish import export
from groundup.formats.safetensors import Safetensors, read_model
from groundup.models._base import ModelConfig
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn


@pytest.mark.parametrize("config", [*CONFIGS[::2], Rnn(layers=1, dim=32, length=64)], ids=label)
def test_every_architecture_comes_back(config: ModelConfig, tmp_path: Path) -> None:
    made = bundle(config)
    export(Safetensors(), made, tmp_path / "out")
    again = read_model(tmp_path / "out")
    assert again.config == config.explicit()
    assert all(again.state_dict()[name].equal(value) for name, value in made.model.state_dict().items())


@pytest.mark.slow
def test_fewer_bits_are_fewer_bytes(tmp_path: Path) -> None:
    made = bundle(Qwen3.from_tree({**SMALL, "dim": 64, "heads": 2, "layers": 4}))
    sizes = []
    for settings in ({}, {"precision": "bf16"}, {"precision": "bf16", "quantize": "int8"},
                     {"precision": "bf16", "quantize": "int4"}):  # fmt: skip
        parity = export(Safetensors.from_tree(settings), made, tmp_path / "out")
        assert float(parity.figures["largest difference of a logit, 64 prompts"]) <= 1e-4
        sizes.append((tmp_path / "out" / "model.safetensors").stat().st_size)
        model = read_model(tmp_path / "out")
        assert torch.isfinite(model.logits(model(torch.tensor([[1, 2, 3]])))).all()
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1.9 * sizes[1]


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    export(Safetensors(), bundle(CONFIGS[2]), tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"model.json: not an export of this format"):
        read_model(tmp_path / "out")
