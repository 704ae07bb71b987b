"""`groundup bench`: contestants are real processes that take turns; mistakes are told; a toy row gives a real table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contest import Contest, Floor, Outcome, Player, Result, hold, spread
from bench.peers import find
from bench.run import names, plot, read, summary, table
from groundup.cli import main
from groundup.errors import ConfigError, ResourceError

COUNTER = """
import os, sys
from play import play

def prepare(settings):
    print("what a peer prints is no answer")
    n = 0
    def turn():
        nonlocal n
        n += 1
        if settings.get("fails_at") == n:
            raise ValueError("no more")
        with open(settings["order"], "a") as file:
            file.write(settings["name"])
        return {"value": settings["speed"] * n, "pid": os.getpid(), "ids": settings.get("ids", "")}
    return turn

play(prepare)
"""


@pytest.fixture
def player(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Makes a contestant whose value is `speed` times the number of its round."""
    script = tmp_path / "counter.py"
    players = Path(__file__).parents[2] / "bench" / "players"
    script.write_text(f"import sys\nsys.path.insert(0, {str(players)!r})\n{COUNTER}", encoding="utf-8")

    def make(name: str, speed: float, fresh: bool = False, **settings: object) -> Player:
        given = {"name": name, "speed": speed, "order": str(tmp_path / "order"), **settings}
        return Player(name, str(script), given, fresh=fresh)

    return make


def test_players_take_turns_and_ratios_are_those_within_a_round(player, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    contest = Contest("counting", "steps/s", [player("a", 6.0), player("b", 2.0)], floor=Floor(24.0, "a guess"))
    result = hold(contest, 3, tmp_path)
    assert (tmp_path / "order").read_text() == "abbaab"
    ours, theirs = result.outcomes
    assert (ours.values, theirs.values) == ([6.0, 12.0, 18.0], [2.0, 4.0, 6.0])
    assert result.ratios(theirs) == [3.0, 3.0, 3.0]
    assert result.share(ours) == 0.5
    assert len({answer["pid"] for answer in ours.answers}) == 1
    told = table(contest, result)
    assert "ours 3.00x (3.00 to 3.00)" in told and "50.0% of the floor" in told and "24 steps/s" in told
    assert "<svg" in plot([result]) and "counting" in plot([result])
    assert json.loads(json.dumps(result.facts()))["players"][1]["times"] == spread([3.0])


def test_a_fresh_player_is_a_new_process_each_round(player, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = hold(Contest("fresh", "s", [player("a", 1.0, fresh=True)]), 2, tmp_path)
    assert result.outcomes[0].values == [1.0, 1.0]
    assert len({answer["pid"] for answer in result.outcomes[0].answers}) == 2


def test_a_peer_that_fails_is_left_out_and_ours_is_not(player, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    contest = Contest("failing", "s", [player("a", 1.0), player("b", 1.0, fails_at=2)])
    result = hold(contest, 3, tmp_path)
    assert len(result.outcomes[0].values) == 3 and "no more" in result.outcomes[1].failure
    assert "left out" in table(contest, result)
    with pytest.raises(ResourceError, match="our own contestant failed"):
        hold(Contest("failing", "s", [player("a", 1.0, fails_at=1)]), 1, tmp_path)


def test_fewer_seconds_are_better_where_they_are_and_other_ids_are_told() -> None:
    contest = Contest("clock", "seconds", [], more_is_better=False, floor=Floor(1.0, "import"), same="ids")
    ours, theirs = Outcome("groundup", [{"value": 2.0, "ids": "x"}]), Outcome("peer", [{"value": 8.0, "ids": "y"}])
    result = Result(contest, [ours, theirs])
    assert result.ratios(theirs) == [4.0] and result.share(ours) == 0.5
    assert result.differing() == ["peer"] and "NOT THE SAME ids" in table(contest, result)


def test_rows_are_files_and_each_says_what_it_measures() -> None:
    assert {"corpus", "generate", "startup", "time-to-loss", "tokenizer", "train"} <= set(names())
    assert all(summary(name) for name in names())
    (row,) = read(["train", "train.shape=b", "train.steps=10"])
    assert row.tree()["steps"] == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "train.step=1"], "train.step: there is no such setting; did you mean 'steps'"),
        (["train.shape=b"], "the row is not asked for; add train"),
        (["train", "train=3"], "write it as train.FIELD=VALUE"),
        (["train", "--repeats", "0"], "at least one round"),
        (["train", "--peer", "tiktoken"], "these rows have no such peer"),
        (["train", "--peer", "nanogpt"], "give your checkout of it"),
        (["train", "--peer", "nanogpt=/nowhere"], "there is no configurator.py in it"),
        (["time-to-loss"], "give tiny Shakespeare"),
    ],
)
def test_mistakes_are_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", *words, "--cache", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


def test_a_peer_is_a_checkout_a_python_or_an_environment(tmp_path: Path) -> None:
    (tmp_path / "configurator.py").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.touch()
    found = find([f"nanogpt={tmp_path}", f"tiktoken={python}", f"tokenizers={tmp_path / '.venv'}"], tmp_path / "cache")
    assert found["nanogpt"].checkout == tmp_path and {peer.python for peer in found.values()} == {python}
    with pytest.raises(ConfigError, match="no environment of Python"):
        find([f"tiktoken={tmp_path}"], tmp_path / "cache")


@pytest.mark.slow
def test_a_toy_row_beside_a_peer(tmp_path: Path) -> None:
    words = [
        "train",
        "train.shape=tiny",
        "train.model=llama",
        "train.compiled=false",
        "train.steps=1",
        "--repeats",
        "2",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "bench", *words, "--peer", f"transformers={sys.executable}", "--json",
         str(tmp_path / "out.json"), "--cache", str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (result,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["results"]
    losses = [player["answers"][-1]["loss"] for player in result["players"]]
    assert len(losses) > 2 and max(losses) - min(losses) < 0.01
