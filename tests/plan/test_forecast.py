"""The forecast: this machine probed, this text measured, and every setting of the user's left as it is."""

import gzip
from pathlib import Path

import pytest

from groundup.config import Tree
from groundup.errors import DataError, ResourceError
from groundup.models.qwen3 import Qwen3
from groundup.plan.forecast import PLANNER, Forecast, plan
from groundup.plan.machine import Machine
from groundup.plan.memory import training_bytes
from groundup.plan.quality import expected_bits
from groundup.plan.shape import WIDTHS, Cost, batch_rows, context, vocabulary
from groundup.plan.stages import stage_seconds
from groundup.plan.text import Text, measure
from groundup.recipe import Recipe
from spine import write_text

USER: Tree = {
    "minutes": 6.0,
    "model": {"layers": 3, "length": 192},
    "train": {"optim": {"lr": 0.5}},
    "grpo": {"optim": {"lr": 0.25}},
}
TEXT = Text(bytes=5_000_000, files=10, xz=2.0, code=0.0)


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> Forecast:
    """Six minutes on a small text, planned on this very machine."""
    folder = tmp_path_factory.mktemp("plan")
    text = write_text(folder / "text", documents=40)
    layers = [("a.toml", USER), ("command line", {"data": {"text": [str(text)]}})]
    return plan(layers, folder / "runs")


def test_the_stages_fill_the_minutes(forecast: Forecast) -> None:
    assert sum(forecast.seconds.values()) == pytest.approx(360, rel=0.01)
    assert list(forecast.seconds) == [
        "start", "corpus", "tokenizer", "tokens", "pretrain", "sft", "grpo", "eval", "report",
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in forecast.seconds.values())


def test_what_the_user_set_stays_and_each_value_knows_its_origin(forecast: Forecast) -> None:
    recipe, origin = forecast.recipe, forecast.origins
    assert (recipe.model.tree()["layers"], recipe.model.tree()["length"]) == (3, 192)
    assert recipe.model.tree()["dim"] in WIDTHS
    assert origin["model.layers"] == "a.toml"
    assert origin["model.dim"] == origin["train.rows"] == origin["precision"] == PLANNER
    assert origin["data.text"] == "command line"
    assert origin["sft.rows"] == "default"


def test_one_field_of_an_optimizer_leaves_the_others_of_that_stage(forecast: Forecast) -> None:
    train, grpo, fresh = forecast.recipe.train.optim, forecast.recipe.grpo.optim, Recipe()
    assert (train.name, train.tree()["lr"]) == ("muon", 0.5)
    assert grpo.tree() == {**fresh.grpo.optim.tree(), "lr": 0.25}
    assert grpo.name == fresh.grpo.optim.name


def test_figures_are_of_this_machine_and_of_the_shape(forecast: Forecast) -> None:
    model = forecast.recipe.model
    assert isinstance(model, Qwen3)
    vocab = int(forecast.recipe.tokenizer.tree()["vocab_size"])
    assert forecast.parameters == sum(weight.numel() for weight in model.build(vocab).parameters())
    assert forecast.machine.matmul["fp32"] > 1e8
    assert forecast.tokens > 0
    assert forecast.bits[1] <= forecast.bits[0] <= forecast.bits[2] <= 8
    assert forecast.memory > 0
    assert forecast.disk > forecast.text.bytes
    assert forecast.money(3.6) == pytest.approx(0.36, rel=0.01)
    facts = forecast.facts(3.6)
    assert facts["money"] == pytest.approx(0.36, rel=0.01)
    labels = [label.strip() for label, _ in forecast.lines(3.6)]
    assert {"machine", "text", "model", "bits per byte", "time", "peak memory", "disk", "money"} <= set(labels)
    assert "money" not in [label for label, _ in forecast.lines()]


def test_too_few_minutes_name_the_fewest_that_work() -> None:
    with pytest.raises(ResourceError, match=r"0\.1 minutes are too few.*give --minutes") as error:
        stage_seconds(Recipe().override("minutes=0.1"), TEXT, 1e-5)
    least = float(str(error.value).partition("--minutes ")[2].split()[0])
    stage_seconds(Recipe().override(f"minutes={least + 0.1}"), TEXT, 1e-5)
    with pytest.raises(ResourceError):
        stage_seconds(Recipe().override(f"minutes={least - 0.1}"), TEXT, 1e-5)


def test_fixed_steps_cost_what_their_tokens_cost() -> None:
    recipe = Recipe().override("train.steps=100", "train.rows=8", "model.length=128", "sft.steps=1", "grpo.steps=1")
    assert stage_seconds(recipe, TEXT, 1e-5)["pretrain"] == pytest.approx(100 * 8 * 128 * 1e-5)


def test_too_little_text_names_how_much_is_enough(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text", documents=4)
    with pytest.raises(ResourceError, match=r"bytes of text are too few.*at least 50,000"):
        plan([("command line", {"data": {"text": [str(text)]}})], tmp_path / "runs")


def test_a_text_is_measured_from_a_sample(tmp_path: Path) -> None:
    folder = write_text(tmp_path / "text", documents=5)
    files = list(folder.glob("*.txt"))
    found = measure([str(folder)])
    assert found.bytes == sum(file.stat().st_size for file in files)
    assert (found.files, found.code) == (5, 0.0)
    assert 1 < found.xz < 4
    (folder / "code.py").write_text("x = 1\n" * 9000, encoding="utf-8")
    assert measure([str(folder)]).code > 0.5


def test_a_packed_text_counts_unpacked(tmp_path: Path) -> None:
    data = b"The harbour is quiet in winter, and the boats lie on land. " * 3000
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(data))
    assert measure([str(tmp_path)]).bytes == pytest.approx(len(data), rel=0.02)


def test_text_without_a_word_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text(" \n" * 40_000, encoding="utf-8")
    with pytest.raises(DataError, match=r"no text in .*; name a folder or files with text"):
        measure([str(tmp_path)])


def test_more_is_better_and_never_worse_than_chance() -> None:
    small, wide, long = (
        expected_bits(TEXT, parameters, tokens, 2e6)[0] for parameters, tokens in ((1e6, 4e6), (4e6, 4e6), (1e6, 1.6e7))
    )
    assert wide < small
    assert long < small
    assert expected_bits(TEXT, 1e3, 1e3, 1e3) == (8.0, 8.0, 8.0)


def test_sizes_grow_with_the_width_and_the_tokens() -> None:
    assert [vocabulary(width) for width in WIDTHS] == sorted(vocabulary(width) for width in WIDTHS)
    assert [context(width) for width in WIDTHS] == sorted(context(width) for width in WIDTHS)
    rows = [batch_rows(10.0**exponent, 256) for exponent in range(5, 12)]
    assert rows == sorted(rows)
    assert rows[0] < rows[-1] <= 2**19 // 256
    assert batch_rows(1.0, 4096) == 8


def test_memory_grows_with_rows_and_shrinks_with_precision() -> None:
    config = Qwen3(layers=4, dim=128, heads=2, length=256)
    small, large = (training_bytes(config, 4096, rows, "fp32", "muon") for rows in (8, 64))
    assert small < training_bytes(config, 4096, 64, "bf16", "muon") < large


def test_cost_between_two_measured_widths_lies_between_them() -> None:
    machine = Machine("cpu", "test", 2, 8 << 30, 8 << 30, {"fp32": 1e11}, {"plain": 1.0})
    cost = Cost(machine, {64: 0.1, 256: 0.4})
    seconds = [
        cost.seconds_per_token(Qwen3(dim=width, heads=1), 1024) / Qwen3(dim=width, heads=1).flops_per_token(1024, 256)
        for width in (32, 64, 128, 256, 512)
    ]
    assert seconds == pytest.approx([1e-10, 1e-10, 5e-11, 2.5e-11, 2.5e-11])
