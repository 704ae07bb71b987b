"""The commands on a finished run: what they print, as people and as programs read it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.config import read_toml
from groundup.pipeline import STAGES
from groundup.recipe import Recipe
from groundup.store import FORMAT, Store
from spine import Said, as_json, environment, groundup

Say = Callable[..., Said]
NAMES = [stage.name for stage in STAGES]
IMPORTED = """
import sys
from groundup.cli import main
status = main(sys.argv[1:])
heavy = {"torch", "pyarrow", "daft", "tokenizers", "numpy"} & set(sys.modules)
print("imported:", *sorted(heavy))
sys.exit(status)
"""


def imported(*words: str, cwd: Path) -> set[str]:
    """Heavy libraries that a command line has loaded when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], cwd=cwd, env=environment(), text=True, capture_output=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_a_finished_run_has_left_everything(place: Path) -> None:
    store = Store.open(place / "runs", "tiny")
    assert list(store.current()) == NAMES
    for artifact in store.current().values():
        assert json.loads((artifact.path / "manifest.json").read_text(encoding="utf-8"))["kind"] == artifact.kind
    assert len(list((store.root / "artifacts").iterdir())) == len(NAMES)
    assert not any((store.root / "scratch").iterdir())
    facts = store.facts()
    assert [facts[stage]["steps"] for stage in ("pretrain", "sft", "grpo")] == [6, 4, 2]
    assert {len(facts[stage]["weights_sha256"]) for stage in ("pretrain", "sft", "grpo")} == {64}
    assert 0 < facts["eval"]["bits_per_byte"]["value"] < 8
    assert "<html" in (store.root / "report.html").read_text(encoding="utf-8")
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    assert (recipe.train.steps, recipe.tokenizer.tree()["vocab_size"]) == (6, 400)
    steps = [json.loads(line)["step"] for line in (store.root / "metrics" / "pretrain.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_what_the_first_command_printed(place: Path) -> None:
    shown = (place / "done").read_text(encoding="utf-8")
    for part in (
        "forecast",
        "peak memory",
        "pretrain:",
        "results",
        "bits per byte",
        "a conversation with it",
    ):
        assert part in shown
    assert "groundup chat tiny" in shown


def test_files_that_cannot_be_read_are_counted_and_named(place: Path) -> None:
    facts = Store.open(place / "runs", "tiny").facts()["corpus"]
    assert {"binary": 1, "unknown_suffix": 1, "broken_archive": 1, "broken_record": 1}.items() <= facts[
        "removed"
    ].items()
    told = "\n".join(facts["unreadable"])
    for part in (
        "bad_binary.txt: a binary file",
        "bad_photo.png: a kind of file",
        "bad_torn.txt.gz: ",
        "line 3: not JSON",
    ):
        assert part in told


def test_again_does_nothing_and_loads_nothing_heavy(place: Path) -> None:
    for words in (("run", "tiny"), ("run", "tiny.toml", "--data", str(place / "text"), "--name", "tiny")):
        said = groundup(*words, cwd=place)
        assert "run 'tiny' is done and nothing changed: nothing to do" in said.stdout
        assert as_json(*words, cwd=place)["done"] == []
    assert imported("run", "tiny", cwd=place) == set()


@pytest.mark.parametrize("words", [("--help",), ("show", "tiny"), ("list",), ("run", "--help")])
def test_looking_loads_no_torch(words: tuple[str, ...], place: Path) -> None:
    if "--help" in words:
        code = "import sys; from groundup.cli import build_parser; build_parser(); print('torch' in sys.modules)"
        run = [sys.executable, "-c", code]
        assert subprocess.run(run, cwd=place, env=environment(), text=True, capture_output=True).stdout == "False\n"
    else:
        assert "torch" not in imported(*words, cwd=place)


def test_show_says_where_everything_is_and_came_from(say: Say, place: Path) -> None:
    shown = json.loads(say("show", "tiny", "--runs", place / "runs", "--json").out)
    assert [entry["stage"] for entry in shown["stages"]] == NAMES
    assert {entry["state"] for entry in shown["stages"]} == {"done"}
    assert all(Path(entry["folder"]).is_dir() for entry in shown["stages"])
    assert shown["settings"]["train.steps"] == {"value": 6, "from": str(place / "tiny.toml")}
    assert shown["settings"]["data.text"]["from"] == "command line"
    assert shown["settings"]["train.optim.momentum"]["from"] == "default"
    people = say("show", "tiny", "--runs", place / "runs")
    for part in ("done   corpus", "train.steps", "weights_sha256", "bits_per_byte.value"):
        assert part in people.out


def test_show_names_the_field_that_made_a_stage_stale(say: Say, own: Path) -> None:
    store = Store.open(own / "runs", "tiny")
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml")).override("sft.arithmetic=41")
    store.write_text("recipe.toml", recipe.to_toml())
    shown = json.loads(say("show", "tiny", "--json").out)
    states = {entry["stage"]: (entry["state"], entry["because"]) for entry in shown["stages"]}
    assert states["pretrain"] == ("done", "")
    assert states["sft"] == ("stale", "sft.arithmetic was 40, is 41")
    assert states["grpo"] == ("stale", "sft is made again")
    assert "stale  sft" in say("show", "tiny").out


def test_eval_measures_again_with_other_settings_and_nothing_else(own: Path) -> None:
    before = Store.open(own / "runs", "tiny").current()
    done = as_json("eval", "tiny", "eval.arithmetic=2", "eval.passages=0", "eval.yardsticks=false", cwd=own)
    assert done["done"] == ["eval", "report"]
    assert done["facts"]["eval"]["tasks"]["arithmetic"]["n"] == 2
    store = Store.open(own / "runs", "tiny")
    assert read_toml(store.root / "recipe.toml")["eval"]["arithmetic"] == 2
    assert store.read_json("origins.json")["eval.arithmetic"] == "command line"
    after = store.current()
    assert {name for name in NAMES if before[name] != after[name]} == {"eval", "report"}
    assert groundup("run", "tiny", cwd=own).stdout.count("nothing to do") == 1


def test_eval_with_a_setting_that_is_none_keeps_the_old_measurement(say: Say, own: Path) -> None:
    before = Store.open(own / "runs", "tiny").facts()
    said = say("eval", "tiny", "eval.arithmetik=2")
    assert said.status == 2
    assert "eval.arithmetik: there is no such setting; did you mean 'arithmetic'?" in said.err
    assert Store.open(own / "runs", "tiny").facts() == before


def test_chat_says_one_thing_and_ends(say: Say, place: Path) -> None:
    words = ("chat", "tiny", "--runs", place / "runs", "--say", "What is 2 + 3?", "--max-tokens", "4")
    said = say(*words)
    assert (said.status, said.err) == (0, "")
    assert said.out.endswith("\n")
    assert said.out == say(*words, "--stage", "grpo").out, "the last that is done is talked to"
    assert say(*words, "--stage", "sft").status == 0


def test_list_and_rm(say: Say, own: Path) -> None:
    rows = json.loads(say("list", "--json").out)
    assert [(row["name"], row["stages"]) for row in rows] == [("tiny", NAMES)]
    assert rows[0]["bytes"] == Store(own / "runs" / "tiny").size()
    assert "tiny" in say("list").out
    said = say("rm", "tiny")
    assert (said.status, "add --yes" in said.err) == (2, True)
    assert say("rm", "tiny", "--yes").out.startswith("removed ")
    assert not (own / "runs" / "tiny").exists()
    assert json.loads(say("list", "--json").out) == []
    assert "no runs in runs" in say("list").out


def test_a_run_in_use_is_refused_to_others_and_still_shown(say: Say, own: Path) -> None:
    told = "run 'tiny' is in use by another groundup process"
    with Store(own / "runs" / "tiny").locked():
        assert told in groundup("run", "tiny", cwd=own, status=2).stderr
        for words in (("eval", "tiny"), ("rm", "tiny", "--yes")):
            said = say(*words)
            assert (said.status, told in said.err) == (2, True)
        assert json.loads(say("show", "tiny", "--json").out)["run"] == "tiny"
    assert Store(own / "runs" / "tiny").exists()


def test_a_run_of_a_newer_format_is_refused(say: Say, own: Path) -> None:
    store = Store(own / "runs" / "tiny")
    store.write_json("run.json", {**store.read_json("run.json"), "format": FORMAT + 1})
    for words in (("run", "tiny"), ("show", "tiny"), ("chat", "tiny"), ("eval", "tiny"), ("rm", "tiny", "--yes")):
        said = say(*words)
        assert said.status == 2
        assert f"has format {FORMAT + 1}" in said.err
    assert len(store.current()) == len(NAMES)


def test_a_run_that_was_planned_and_no_more_says_so(say: Say, own: Path) -> None:
    for name in ("artifacts", "scratch"):
        shutil.rmtree(own / "runs" / "tiny" / name)
    assert "it has no model yet; `groundup run tiny` goes on" in say("chat", "tiny").err
    assert "no pretrain yet" in say("eval", "tiny").err
    assert {entry["state"] for entry in json.loads(say("show", "tiny", "--json").out)["stages"]} == {"to do"}


def test_settings_may_stand_after_flags(say: Say, place: Path) -> None:
    said = say(
        "plan", "--data", place / "text", place / "tiny.toml", "--json", "train.steps=7", "--name", "b",
        "train.optim=adamw", "train.optim.lr=0.5",
    )  # fmt: skip
    recipe = json.loads(said.out)["recipe"]
    assert recipe["train"]["steps"] == 7
    assert (recipe["train"]["optim"]["name"], recipe["train"]["optim"]["lr"]) == ("adamw", 0.5)
