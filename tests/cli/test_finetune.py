"""`groundup finetune`: a new run from a finished one, whole in every other command; killed, it ends the same."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from groundup.config import read_toml
from groundup.layers.lora import merge
from groundup.layers.peft import load_adapter
from groundup.recipe import Recipe
from groundup.stages.training import build_model
from groundup.store import Store
from spine import Said, groundup, start
from tasks.benchmarks import PUBLISHED

Say = Callable[..., Said]
TINY = ("adapt.rows=4", "adapt.steps=6", "adapt.probe_steps=3", "adapt.save_steps=1")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Polite replies and rude ones."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"prompt": f"What is {i}?", "chosen": f"A {i}, please.", "rejected": f"Go {i}!"} for i in range(120)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def polite(place: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/tiny, and runs/polite made of it by DPO with LoRA."""
    folder = tmp_path_factory.mktemp("polite")
    shutil.copytree(place / "runs", folder / "runs")
    groundup(*words(pairs), cwd=folder)
    return folder


def words(pairs: Path, *more: str) -> tuple[str | Path, ...]:
    flags = ("--method", "dpo", "--adapter", "lora", "--name", "polite")
    return ("finetune", "tiny", "--data", pairs, *flags, *TINY, *more)


def facts(folder: Path, name: str = "polite") -> dict[str, Any]:
    return Store.open(folder / "runs", name).facts()


def test_an_adapted_run_has_left_everything(polite: Path) -> None:
    found = facts(polite)
    assert list(found) == ["import", "reference", "adapt", "eval", "report"]
    assert (found["import"]["run"], found["import"]["stage"]) == ("tiny", "grpo")
    assert found["adapt"]["steps"] == 6
    assert found["adapt"]["examples"] + found["adapt"]["held_out_examples"] == 120
    assert found["reference"]["held_out"] == found["adapt"]["held_out_examples"]
    score = found["eval"]["tasks"]["held-out pairs"]
    assert 0 <= score["low"] <= score["score"] <= score["high"] <= 1 and score["n"] == found["reference"]["held_out"]
    bits = found["eval"]["bits_per_byte"]
    assert bits["lost"]["value"] == pytest.approx(bits["value"] / bits["before"]["value"] - 1)
    assert "adapted from tiny by dpo" in (polite / "runs" / "polite" / "report.html").read_text(encoding="utf-8")
    recipe = read_toml(polite / "runs" / "polite" / "recipe.toml")
    assert recipe["adapt"]["objective"]["name"] == "dpo" and "corpus" not in recipe


def test_the_adapter_beside_the_weights_is_what_was_folded_into_them(polite: Path) -> None:
    store = Store.open(polite / "runs", "polite")
    now, recipe = store.current(), Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    model = build_model(recipe, now["import"].path, now["import"].path, "cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_adapter(model, now["adapt"].path / "adapter")
    after = merge(model).state_dict()
    kept = load_file(now["adapt"].path / "weights.safetensors")
    moved = 0
    for name, value in kept.items():
        torch.testing.assert_close(after[name], value)
        moved += not torch.equal(before[name], value)
    assert moved == 7, "every matrix of the one layer, and nothing else"


def test_the_same_command_again_does_nothing_and_a_setting_makes_what_depends_on_it(
    polite: Path, pairs: Path, tmp_path: Path, say: Say
) -> None:
    shutil.copytree(polite / "runs", tmp_path / "runs")
    assert "nothing to do" in say(*words(pairs)).out
    assert "nothing to do" in say("run", "polite").out
    done = json.loads(say(*words(pairs, "adapt.steps=2"), "--json").out)
    assert done["done"] == ["adapt", "eval", "report"], "the reference is kept"
    assert done["facts"]["adapt"]["steps"] == 2


def test_other_commands_take_the_run_as_any_other(polite: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(polite / "runs", tmp_path / "runs")
    assert say("chat", "polite", "--say", "What is 3?", "--max-tokens", "4").status == 0
    shown = say("show", "polite").out
    assert "reference" in shown and "adapt.objective.beta" in shown and "to do" not in shown
    assert "polite" in say("list").out
    exported = say("export", "polite", "--to", "safetensors", "--json")
    assert exported.status == 0 and json.loads(exported.out)["stage"] == "adapt"
    assert say("eval", "polite").status == 0
    assert say("rm", "tiny", "--yes").status == 0
    assert say("run", "polite", "adapt.steps=2", "--json").status == 0, "the run has a copy of what it began with"


@pytest.mark.slow
def test_killed_and_the_same_weights(polite: Path, pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(polite / "runs" / "tiny", tmp_path / "runs" / "tiny")
    run = tmp_path / "runs" / "polite"
    with start(*words(pairs), cwd=tmp_path) as process:
        while process.poll() is None and not any((run / "scratch").glob("adapt-*/train/step-*")):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode < 0, "it was killed while it trained"
    again = groundup(*words(pairs), cwd=tmp_path)
    assert "going on from step" in again.stdout
    assert facts(tmp_path)["adapt"]["weights_sha256"] == facts(polite)["adapt"]["weights_sha256"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--method", "dpi"), "there is no method 'dpi'; did you mean 'dpo'?"),
        (("adapt.objectiv.beta=1",), "adapt.objectiv"),
        (("train.steps=1",), "finetune takes those that begin with adapt., seed="),
        (("adapt.adapter=lora",), "adapt.adapter: "),
        (("--stage", "adapt"), "its adapt stage is not done"),
        (("--name", "tiny"), "which finetune has not made"),
        (("--method", "sft", "--data", "absent.jsonl"), "absent.jsonl: there is no such file"),
    ],
)
def test_a_mistake_is_told_and_leaves_no_run(
    more: tuple[str, ...], told: str, place: Path, pairs: Path, tmp_path: Path, say: Say
) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    said = say("finetune", "tiny", "--data", pairs, "--name", "new", *more)
    assert said.status == 2 and told in said.err, said.err
    assert not (tmp_path / "runs" / "new").exists()


def test_a_preview_shows_what_has_weight_and_makes_nothing(place: Path, pairs: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    shown = say("finetune", "tiny", "--data", pairs, "--method", "dpo", "--preview").out
    assert "<|user|>What is 0?<|end_of_turn|><|assistant|>⟦A 0, please.<|end_of_turn|>⟧" in shown
    assert "⟦Go 0!<|end_of_turn|>⟧" in shown
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny"]


@pytest.fixture
def judged(polite: Path, pairs: Path, tmp_path: Path, say: Say) -> Callable[..., dict[str, Any]]:
    """`judged("ppo", "none")`: the facts of a run that learns from its own replies, in a folder with a reward model."""
    shutil.copytree(polite / "runs", tmp_path / "runs")
    made = json.loads(say("finetune", "tiny", "--data", pairs, "--method", "reward", "--json", *TINY).out)
    assert made["facts"]["adapt"]["outputs"] == ["reward"]
    assert made["facts"]["eval"]["tasks"]["held-out pairs by reward"]["n"] > 0
    short = ("adapt.rows=8", "adapt.steps=2", "adapt.rollouts.group=4", "adapt.rollouts.max_tokens=8")

    def learn(method: str, adapter: str) -> dict[str, Any]:
        flags = ("--method", method, "--adapter", adapter, "--reward", "tiny-reward", "--name", method, "--json")
        found: dict[str, Any] = json.loads(say("finetune", "tiny", "--data", pairs, *flags, *short).out)["facts"]
        assert found["adapt"]["steps"] == 2
        margin = found["eval"]["tasks"]["reward"]["margin"]
        assert margin["low"] <= margin["value"] <= margin["high"]
        assert say("chat", method, "--say", "What is 3?", "--max-tokens", "4").status == 0
        return found

    return learn


def test_a_reward_model_judges_what_another_run_says(
    judged: Callable[..., dict[str, Any]], pairs: Path, tmp_path: Path, say: Say
) -> None:
    assert "is a reward model and makes no replies" in say("chat", "tiny-reward", "--say", "Hi").err
    refused = say("finetune", "tiny", "--data", pairs, "--method", "ppo", *TINY)
    assert refused.status == 2 and "need a reward model to judge them" in refused.err
    assert "polite' is no reward model" in say("finetune", "tiny", "--data", pairs, "--reward", "polite").err
    judged("ppo", "none")
    rows = [json.loads(line) for line in (tmp_path / "runs/ppo/metrics/adapt.jsonl").read_text().splitlines()]
    assert {"reward", "drift", "value_loss"} <= rows[0].keys()
    assert abs(rows[0]["drift"]) < 1e-3, "at first the model is where it was"


def test_known_answers_are_a_reward_and_tools_are_run(place: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    path = tmp_path / "sums.jsonl"
    turns = [[{"role": "user", "content": f"{i}+1?"}, {"role": "assistant", "content": f"{i + 1}"}] for i in range(60)]
    path.write_text("\n".join(json.dumps({"messages": talk}) for talk in turns), encoding="utf-8")
    short = ("adapt.rows=8", "adapt.steps=2", "adapt.rollouts.group=4", "adapt.rollouts.max_tokens=8")
    more = ("--data", path, "--method", "grpo", "adapt.answers=number", "adapt.tools=calculator", *short, "--json")
    done = say("finetune", "tiny", *more)
    assert done.status == 0, done.err
    found = json.loads(done.out)["facts"]
    assert found["adapt"]["steps"] == 2 and 0 <= found["adapt"]["first_rollouts"]["reward"] <= 1
    assert {"answers", "answers without tools"} <= found["eval"]["tasks"].keys()
    assert found["eval"]["tasks"]["answers"]["n"] == found["adapt"]["held_out_examples"]
    told = say("finetune", "tiny", "--data", path, "--name", "x", "adapt.tools=calculater", "--json").err
    assert "did you mean 'calculator'?" in told


@pytest.mark.slow
def test_groups_and_the_best_of_many_learn_through_adapters(judged: Callable[..., dict[str, Any]]) -> None:
    judged("grpo", "qlora")
    drawn = judged("best-of-n", "dora")["replies"]["train"]
    assert drawn["reward_best_of_8"] > drawn["reward"], "the best of eight beats the first"


def test_a_classifier_stands_beside_a_bag_of_words(place: Path, tmp_path: Path, say: Say) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(place / "runs", tmp_path / "runs")
    path = tmp_path / "labelled.csv"
    lines = [f"{word} thing {i},{label}" for i in range(40) for word, label in (("fine", "good"), ("poor", "bad"))]
    path.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    more = ("--task", "classify", "--data", path, "adapt.folds=2", *TINY, "--json")
    found = json.loads(say("finetune", "tiny", *more).out)["facts"]
    assert found["adapt"]["outputs"] == ["bad", "good"]
    tasks = found["eval"]["tasks"]
    assert list(tasks) == ["classes", "classes, by words", "classes, 2 folds", "classes, 2 folds, by words"]
    assert tasks["classes, 2 folds"]["n"] == 80 and tasks["classes, 2 folds, by words"]["score"] == 1.0
    assert "tells bad, good apart and makes no replies" in say("chat", "tiny-classify", "--say", "Hi").err
    assert "holds labelled texts, and sft learns from" in say("finetune", "tiny", "--data", path).err


@pytest.mark.slow
def test_text_that_the_model_came_from_keeps_what_it_knew(place: Path, pairs: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    lost = {}
    for replay in ("0", "0.5"):
        more = ("--name", f"with{replay}", f"adapt.replay={replay}", "adapt.optim.lr=0.01", "--json", "adapt.rows=8")
        found = json.loads(say("finetune", "tiny", "--data", pairs, *TINY, *more).out)["facts"]
        lost[replay] = found["eval"]["bits_per_byte"]["lost"]["value"]
    assert lost["0.5"] < lost["0"]
    refused = say("finetune", "tiny", "--data", pairs, "--method", "dpo", "adapt.replay=0.5")
    assert refused.status == 2 and "adapt.replay: is of sft and distill, not of dpo" in refused.err


def test_a_model_learns_to_be_like_another(place: Path, pairs: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    refused = say("finetune", "tiny", "--data", pairs, "--method", "distill", *TINY)
    assert refused.status == 2 and "distill needs one" in refused.err
    flags = ("--method", "distill", "--stage", "pretrain", "--teacher", "tiny", "--json")
    found = json.loads(say("finetune", "tiny", "--data", pairs, *flags, *TINY).out)["facts"]
    assert (found["import"]["stage"], found["teacher"]["stage"]) == ("pretrain", "grpo")
    apart = [value for _, value in found["adapt"]["held_out_losses"]]
    assert 0 < apart[-1] < apart[0]
    assert say("chat", "tiny-distill", "--say", "What is 3?", "--max-tokens", "4").status == 0


def test_a_model_learns_from_what_its_teacher_thinks_of_its_own_replies(
    place: Path, pairs: Path, tmp_path: Path, say: Say
) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    short = ("adapt.rows=8", "adapt.steps=2", "adapt.rollouts.group=2", "adapt.rollouts.max_tokens=8")
    flags = ("--method", "gkd", "--stage", "pretrain", "--teacher", "tiny", "--json")
    done = say("finetune", "tiny", "--data", pairs, *flags, *short)
    assert done.status == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "runs/tiny-gkd/metrics/adapt.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and all(row["divergence"] > 0 for row in rows)


def test_a_number_is_learned_and_stands_beside_a_line_through_words(place: Path, tmp_path: Path, say: Say) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(place / "runs", tmp_path / "runs")
    path = tmp_path / "scores.csv"
    lines = [f"{word} thing {i},{label}" for i in range(40) for word, label in (("fine", 4.5), ("poor", -1))]
    path.write_text("\n".join(["text,score", *lines]), encoding="utf-8")
    found = json.loads(say("finetune", "tiny", "--task", "regress", "--data", path, *TINY, "--json").out)["facts"]
    assert found["adapt"]["outputs"] == ["number"]
    tasks = found["eval"]["tasks"]
    assert list(tasks) == ["numbers", "numbers, by words"]
    assert 1 >= tasks["numbers, by words"]["score"] > 0.5
    assert 0 < tasks["numbers"]["error"]["value"] < 10, "in the labels' own unit"
    assert "gives texts a number and makes no replies" in say("chat", "tiny-regress", "--say", "Hi").err


def test_sets_by_weight_noise_and_benchmarks_on_the_way(place: Path, pairs: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    shutil.copyfile(pairs, tmp_path / "more.jsonl")
    (tmp_path / "bench").mkdir()
    (rows,) = PUBLISHED["piqa"].values()
    (tmp_path / "bench" / "piqa.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    look = ("adapt.look.tasks=piqa", f"adapt.look.data={tmp_path / 'bench'}", "adapt.look.items=5")
    done = say("finetune", "tiny", "--data", "more.jsonl=3", "--data", pairs, "adapt.noise=5", *TINY, *look, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)["facts"]["adapt"]
    assert found["shares"] == pytest.approx([0.75, 0.25])
    assert set(found["looks"]) == {"piqa", "piqa, bits"} and len(found["looks"]["piqa"]) >= 2


@pytest.mark.slow
def test_a_timed_adaptation_ends_with_the_weights_of_its_best_look(place: Path, tmp_path: Path, say: Say) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    draw = [(17 * i + 5) % 101 for i in range(60)]
    rows = [{"instruction": f"Say {i}", "output": f"{n} {n * n} {n**3}"} for i, n in enumerate(draw)]
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    quick = ("adapt.rows=8", "adapt.probe_steps=2", "adapt.patience=3", "adapt.optim.lr=0.03", "--minutes", "0.4")
    said = say("finetune", "tiny", "--data", tmp_path / "few.jsonl", "--name", "few", *quick)
    found = facts(tmp_path, "few")["adapt"]
    losses = [value for _, value in found["held_out_losses"]]
    assert min(losses) < losses[-1], "it learns the few by heart"
    assert found["held_out"]["loss"] == pytest.approx(min(losses), rel=1e-4)
    assert "was the best: those weights stay" in said.out
