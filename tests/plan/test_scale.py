"""Plans for GPUs that are not there: what a rank holds and sends, and what is refused."""

import json
import math
from pathlib import Path

import pytest

from groundup.cli import main
from groundup.errors import ConfigError, ResourceError, UnsupportedError
from groundup.models.llama import Llama
from groundup.models.moe import Moe
from groundup.plan.layout import choose, cluster_of, planned
from groundup.plan.scale import Layout, Practice, dry_run, rank_bytes, sent_bytes, stages, total
from groundup.recipe import Recipe

V = 128_256
LLAMA_8B = Llama(layers=32, dim=4096, heads=32, kv_heads=8, hidden=14_336, length=8192)
LLAMA_70B = Llama(layers=80, dim=8192, heads=64, kv_heads=8, hidden=28_672, length=8192)
TORCHTITAN = Practice(gathered=2, logit=10.0, products=0.5)
"""Weights gathered in bf16; whole logits, their float32 log-softmax and both gradients; every second product kept."""


def test_ranks_hold_all_of_the_model_between_them() -> None:
    for config in (LLAMA_8B, Moe(layers=6, dim=256, heads=4, experts=16, length=512)):
        model = dry_run(config, V, Layout())
        whole = config.parameters_count(V)
        assert sum(each.blocks + each.ends for each in stages(model, Layout())) == whole
        (split,) = stages(model, Layout(data=1, tensor=2))
        assert whole / 2 <= split.blocks + split.ends < 0.6 * whole or config.name == "moe"
        dealt = stages(model, Layout(pipeline=3))
        assert (
            sum(each.blocks + each.ends for each in dealt) == whole
            and sum(each.layers for each in dealt) == config.layers
        )
    spread = stages(model, Layout(data=4, expert=4))[0]
    assert spread.experts == stages(model, Layout())[0].experts // 4


def test_state_shrinks_as_zero_says() -> None:
    """ZeRO's own table (arXiv 1910.02054, figure 1): of 16 bytes a parameter in float32, 8 are the optimizer's."""
    model = dry_run(LLAMA_8B, V, Layout())
    P = LLAMA_8B.parameters_count(V)
    alone, third = (rank_bytes(model, Layout(data=n, zero=zero), "adamw") for n, zero in ((1, 0), (8, 3)))
    assert (alone["weights"], alone["optimizer"]) == (4 * P, 8 * P)
    assert (third["weights"], third["optimizer"]) == (4 * P // 8, P)
    kept = [total(rank_bytes(model, Layout(data=8, zero=zero), "adamw")) for zero in (1, 2, 3)]
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize(
    ("config", "layout", "published"),
    [
        (LLAMA_8B, Layout(data=8, recompute="selective", rows=2), 82.4),
        (LLAMA_8B, Layout(data=128, recompute="selective", rows=2), 67.0),
        (LLAMA_70B, Layout(data=32, tensor=8, recompute="full", rows=16), 71.9),
    ],
    ids=["8B on 8", "8B on 128", "70B on 256"],
)
def test_published_memory_is_met(config: Llama, layout: Layout, published: float) -> None:
    """torchtitan's tables 1, 3 and 4 (benchmarks/llama3_h100_202412_torchtitan.md), GiB."""
    parts = rank_bytes(dry_run(config, V, layout), layout, "adamw", TORCHTITAN)
    assert total(parts) / 2**30 == pytest.approx(published, rel=0.2)


def test_bytes_sent_are_those_of_the_rings() -> None:
    model = dry_run(LLAMA_8B, V, Layout())
    P = LLAMA_8B.parameters_count(V)
    whole = sent_bytes(model, Layout(data=8, zero=3))
    assert whole == {"data": pytest.approx(7 / 8 * P * (2 * 4 + 4), rel=1e-6)}  # gathered twice, reduced once
    assert sent_bytes(model, Layout(data=8, zero=1))["data"] == pytest.approx(7 / 8 * P * 8, rel=1e-6)
    assert sent_bytes(model, Layout()) == {}
    wave = 2 * 8192 * 4096
    two = sent_bytes(model, Layout(data=4, tensor=2, rows=1, accumulate=3))
    assert two["tensor"] == 3 * 32 * 8 * wave // 2
    again = sent_bytes(model, Layout(data=4, tensor=2, recompute="full", rows=1, accumulate=3))
    assert again["tensor"] == 3 * 32 * 12 * wave // 2
    assert sent_bytes(model, Layout(pipeline=2, accumulate=4))["pipeline"] == 2 * 4 * wave


def test_auto_finds_a_layout_that_fits_and_says_why() -> None:
    small = choose(LLAMA_8B, V, cluster_of("h100", 8, 8, None), rows=16)
    assert small.layout.ranks == 8 and total(small.memory) < 80e9
    assert small.layout.zero == 3 or small.layout.tensor > 1
    large = choose(LLAMA_70B, V, cluster_of("h100", 256, 8, None), rows=512)
    assert large.layout.ranks == 256 and total(large.memory) < 80e9
    assert any("slower at best" in line or "GB at least" in line for line in large.why)
    held = choose(LLAMA_8B, V, cluster_of("h100", 8, 8, None), rows=16, fixed={"tensor": 4})
    assert (held.layout.tensor, held.layout.data) == (4, 2), "what is set stays"


def test_what_does_not_fit_is_refused_with_its_bytes() -> None:
    with pytest.raises(ResourceError, match=r"a rank needs [0-9.]+ GB and has [0-9.]+ GB; most of it are"):
        choose(LLAMA_70B, V, cluster_of("h100", 8, 8, None), rows=8)
    recipe = Recipe.from_tree({"model": {"name": "llama", **LLAMA_8B.tree()}, "tokenizer": {"vocab_size": V},
                               "train": {"rows": 16}, "parallel": {"zero": 1}})  # fmt: skip
    with pytest.raises(ResourceError, match=r"zero=1.*gradients 3[0-9]\.[0-9] GB"):
        planned(recipe, cluster_of("h100", 8, 8, None))
    fits = planned(recipe.override("parallel.zero=3", "parallel.recompute=full"), cluster_of("h100", 8, 8, None))
    assert fits.facts()["memory_bytes"]["total"] < 80e9
    assert ("model", "llama, 8.03 G parameters; every shape fits") in fits.lines()
    assert "parallel.zero=3 parallel.recompute=full train.micro_rows=" in fits.settings()


@pytest.mark.parametrize(
    ("config", "layout", "error", "message"),
    [
        (LLAMA_8B, Layout(tensor=16), ConfigError, "16"),
        (LLAMA_8B, Layout(data=2, expert=2), ConfigError, r"parallel.expert=2 does not divide .* \(none\)"),
        (LLAMA_8B.model_copy(update={"tied": True}), Layout(pipeline=2), UnsupportedError, "tied"),
        (LLAMA_8B, Layout(pipeline=64), ConfigError, "32 layers"),
    ],
)  # fmt: skip
def test_a_layout_that_does_not_divide_is_refused_by_name(
    config: Llama, layout: Layout, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dry_run(config, V, layout)
    with pytest.raises(ConfigError, match="did you mean 'h200'"):
        cluster_of("h20", 8, 8, None)


def test_the_command_plans_for_gpus_that_are_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shape = ["model.name=llama", "model.layers=4", "model.dim=512", "model.heads=8", "tokenizer.vocab_size=32000"]
    words = ["plan", "--runs", str(tmp_path), "--gpus", "16", *shape, "train.rows=32"]
    assert main([*words, "parallel=auto", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    sizes = [told["layout"][axis] for axis in ("data", "tensor", "pipeline", "context")]
    assert math.prod(sizes) == 16 and told["memory_bytes"]["total"] < 10e9 and told["why"]
    assert main([*words, "parallel.tensor=3"]) == 2
    assert "3" in capsys.readouterr().err
    assert main([*words, "--gpu-memory", "0.5"]) == 2
    assert "a rank needs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is begun"
