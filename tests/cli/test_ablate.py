"""Ablation: variants of a setting, trained and compared over seeds, on one held-out text."""

import json
from pathlib import Path

import pytest

import spine
from groundup.cli.ablate import compared, variants
from groundup.errors import ConfigError, DataError


def facts(bits: float, held_out: int = 5) -> dict:
    corpus = {"held_out_documents": held_out, "held_out_bytes": 100, "bytes": 1000}
    return {"corpus": corpus, "eval": {"bits_per_byte": {"value": bits}}}


def test_a_difference_that_every_seed_shows_is_certain() -> None:
    rows = compared({"off": [facts(2.1), facts(2.3)], "on": [facts(2.0), facts(2.2)], "too": [facts(2.2), facts(2.1)]})
    assert [row["certain"] for row in rows] == [False, True, False]
    assert rows[1]["difference"] == pytest.approx(-0.1) and rows[1]["high"] < 0 < rows[2]["high"]
    with pytest.raises(DataError, match=r"hold out different texts .*corpus.held_out.ids"):
        compared({"off": [facts(2.1)], "on": [facts(2.0, held_out=4)]})


def test_filters_are_switched_and_other_fields_set() -> None:
    tree = {"corpus": {"filters": ["length", "gopher"]}, "train": {"steps": 3}}
    found = dict(variants(["corpus.filters.gopher=on,off", "train.optim=muon,adamw"], tree))
    assert len(found) == 4
    optim, filters = found["corpus.filters.gopher=off, train.optim=adamw"]
    assert optim == "train.optim=adamw" and "gopher" not in filters and "length" in filters
    assert "fineweb" in dict(variants(["corpus.filters.fineweb=on"], tree))["corpus.filters.fineweb=on"][0]
    for word, message in (("corpus.filters.gopher=maybe", "on or off"), ("train.optim", "FIELD=VALUE,VALUE")):
        with pytest.raises(ConfigError, match=message):
            list(variants([word], tree))


@pytest.mark.slow
def test_the_command_trains_and_compares(tmp_path: Path) -> None:
    recipe, text = spine.write_recipe(tmp_path), spine.write_text(tmp_path / "text")
    words = ["--data", text, "--vary", "corpus.filters.gopher=on,off", "--seeds", "1", "2", "--json"]
    said = spine.groundup("ablate", recipe, *words, cwd=tmp_path)
    rows = json.loads(said.stdout)
    assert [row["variant"] for row in rows] == ["corpus.filters.gopher=on", "corpus.filters.gopher=off"]
    assert rows[0]["bits_per_byte"] == rows[1]["bits_per_byte"] and not rows[1]["certain"]
    refused = spine.groundup("ablate", "seed=1", "--data", text, "--vary", "seed=1,2", cwd=tmp_path, status=2)
    assert "train.steps: say how many" in refused.stderr
