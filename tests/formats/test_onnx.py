"""The graphs give our logits in onnxruntime, for any length, at once and a few tokens at a time."""

from pathlib import Path

import pytest

from formats.bundles import CONFIGS, SMALL, bundle, label
from groundup.errors import UnsupportedError
from groundup.formats.onnx import Onnx
from groundup.formats.publish import export
from groundup.models._base import ModelConfig
from groundup.models.rnn import Rnn

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def agrees(config: ModelConfig, folder: Path) -> None:
    """Export, and look at what the check found and what the graphs take."""
    parity = export(Onnx(), bundle(config), folder)
    figures = [value for what, value in parity.figures.items() if "logit" in what]
    assert len(figures) == 2 and all(0 < float(value) <= 1e-4 for value in figures)
    graph = onnxruntime.InferenceSession(str(folder / "model_with_past.onnx"))
    names = [given.name for given in graph.get_inputs()]
    assert names[:3] == ["input_ids", "past_key_values.0.key", "past_key_values.0.value"]
    assert [given.name for given in graph.get_outputs()][:2] == ["logits", "present.0.key"]


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=label)
def test_every_architecture(config: ModelConfig, tmp_path: Path) -> None:
    agrees(config, tmp_path / "out")


def test_a_model_without_keys_and_values_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="model 'rnn' has no form in onnx"):
        export(Onnx(), bundle(Rnn.from_tree({"layers": 1, "dim": 32, "length": SMALL["length"]})), tmp_path / "out")
