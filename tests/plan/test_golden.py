"""Golden recipes: what the planner makes of each ready-made recipe on two committed machines, so that a changed default
is seen in review.

A change that is meant: `python tests/plan/test_golden.py` writes the files anew.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.config import leaves, read_toml
from groundup.errors import ConfigError
from groundup.models._base import ModelConfig
from groundup.plan.forecast import Forecast, plan
from groundup.plan.machine import Machine
from groundup.plan.text import Text

HERE = Path(__file__).parent / "golden"
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
TEXT = Text(bytes=8_800_000, files=470, xz=1.64, code=1.0)
REACHED = 0.4
MACHINES = {
    "laptop": Machine("cpu", "two cores", 2, 16 << 30, 100 << 30, {"fp32": 2.0e11, "bf16": 4.4e11, "fp16": 4e9}, {}),
    "gpu": Machine("cuda", "one H200", 16, 139 << 30, 1 << 40, {"fp32": 4e13, "bf16": 7e14, "fp16": 7e14}, {}),
}


def planned(recipe: Path, machine: str) -> Forecast:
    return plan(
        [(recipe.name, read_toml(recipe))], Path("runs"), machine=MACHINES[machine], text=TEXT, cost=lambda *_: REACHED
    )


def plain(forecast: Forecast) -> dict[str, Any]:
    """The settings, the price and the promise, rounded to what a person would notice."""
    facts = forecast.facts()
    told = {key: facts[key] for key in ("parameters", "tokens", "seconds", "memory_bytes")}
    return json.loads(json.dumps({"recipe": leaves(facts["recipe"]), **told, "bits": round(forecast.bits[0], 3)}))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_resolves_as_it_was_reviewed(recipe: Path, machine: str) -> None:
    golden = json.loads((HERE / f"{recipe.stem}-{machine}.json").read_text(encoding="utf-8"))
    assert plain(planned(recipe, machine)) == golden, "if the change is meant: python tests/plan/test_golden.py"


def test_a_precision_that_is_set_leaves_nothing_to_the_measured_one() -> None:
    """A machine that is busy while it is measured must not change a fixed recipe's weights."""
    fixed = {"precision": "fp32", "train": {"steps": 6}, "sft": {"steps": 4}, "grpo": {"steps": 2}}
    recipes = {
        plan(
            [("fixed", fixed)], Path("runs"), machine=machine, text=TEXT, cost=lambda *_: REACHED
        ).recipe.model_dump_json()
        for machine in (MACHINES["laptop"], replace(MACHINES["laptop"], matmul={"fp32": 2e11, "bf16": 2.1e11}))
    }
    assert len(recipes) == 1


def test_a_precision_that_does_not_run_is_refused() -> None:
    machine = replace(MACHINES["laptop"], matmul={"fp32": 2e11, "bf16": 4e11, "fp16": 0.0})
    with pytest.raises(ConfigError, match=r"precision=fp16: two cores runs fp32, bf16 only"):
        plan([("fixed", {"precision": "fp16"})], Path("runs"), machine=machine, text=TEXT, cost=lambda *_: REACHED)


@pytest.mark.slow
def test_more_minutes_make_a_larger_model_and_fewer_bits() -> None:
    """The dial, from a minute on a laptop to a day on a GPU."""
    for machine in MACHINES:
        found = [
            plan([("t", {"minutes": minutes})], Path("runs"), machine=MACHINES[machine], text=TEXT, cost=lambda *_: 0.4)
            for minutes in (1, 3, 10, 30, 120, 1440)
        ]
        assert [f.parameters for f in found] == sorted(f.parameters for f in found)
        assert [f.bits[0] for f in found] == sorted((f.bits[0] for f in found), reverse=True)
        for forecast in found:
            assert isinstance(forecast.recipe.model, ModelConfig)
            assert sum(forecast.seconds.values()) == pytest.approx(forecast.recipe.minutes * 60)


def test_a_short_run_leaves_reinforcement_out() -> None:
    for minutes, steps in ((3, 0), (10, None)):
        found = plan(
            [("t", {"minutes": minutes})], Path("runs"), machine=MACHINES["laptop"], text=TEXT, cost=lambda *_: 0.4
        )
        assert found.recipe.grpo.steps == steps
        assert (found.seconds["grpo"] > 0) == (steps is None)


def test_a_slow_machine_asks_fewer_questions_and_still_has_its_minutes() -> None:
    slow = replace(MACHINES["laptop"], matmul={"fp32": 2e10, "bf16": 3e10})
    fast, found = (
        plan([("t", {"minutes": 10})], Path("runs"), machine=machine, text=TEXT, cost=lambda *_: 0.4)
        for machine in (MACHINES["laptop"], slow)
    )
    assert (fast.recipe.eval.arithmetic, fast.recipe.eval.functions) == (500, 512)
    assert 32 <= found.recipe.eval.arithmetic < 500
    assert found.seconds["eval"] < 0.25 * 600 and found.seconds["pretrain"] > 60
    kept = plan(
        [("t", {"minutes": 10, "eval": {"arithmetic": 500}})],
        Path("runs"),
        machine=slow,
        text=TEXT,
        cost=lambda *_: 0.4,
    )
    assert kept.recipe.eval.arithmetic == 500


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for path in RECIPES:
        for name in MACHINES:
            text = json.dumps(plain(planned(path, name)), indent=1) + "\n"
            (HERE / f"{path.stem}-{name}.json").write_text(text, encoding="utf-8")
