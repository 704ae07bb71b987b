"""A run's folder: artifacts whole or not at all, one writer, a format that is checked, a journal that survives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.errors import StoreError
from groundup.store import FORMAT, Store, check_name, runs_in
from spine import ROOT, environment

HOLD = """
import sys
from pathlib import Path
from groundup.store import Store
with Store(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new run, empty."""
    return Store.create(tmp_path / "runs", "mine")


def leave(store: Store, kind: str, fingerprint: str, text: str = "x") -> None:
    with store.publish(kind, fingerprint, ("p",), {"a": 1}) as draft:
        (draft.path / "file.txt").write_text(text, encoding="utf-8")
        draft.facts["size"] = len(text)
        draft.seconds = 1.23456


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "-flag", "a b", "x" * 65, "a\n", "ä"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"run name .*: use up to 64 letters"):
        Store.create(tmp_path / "runs", name)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["a", "my-run_2.5", "9", "x" * 64])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name(name) == name


def test_a_run_is_made_once_and_found_again(store: Store) -> None:
    born = store.read_json("run.json")
    assert (born["format"], born["name"]) == (FORMAT, "mine")
    again = Store.create(store.root.parent, "mine")
    assert again.read_json("run.json") == born
    assert runs_in(store.root.parent) == ["mine"]


def test_a_run_that_is_not_there_gets_the_nearest_name(store: Store) -> None:
    with pytest.raises(StoreError, match=r"there is no run 'mien'.*did you mean 'mine'"):
        Store.open(store.root.parent, "mien")


def test_a_newer_format_is_refused_and_left_alone(store: Store) -> None:
    store.write_json("run.json", {**store.read_json("run.json"), "format": FORMAT + 1})
    for way in (Store.open, Store.create):
        with pytest.raises(StoreError, match=f"has format {FORMAT + 1}.*reads format {FORMAT}.*a newer one"):
            way(store.root.parent, "mine")


def test_a_damaged_file_is_named(store: Store) -> None:
    (store.root / "run.json").write_text('{"format": ', encoding="utf-8")
    with pytest.raises(StoreError, match=r"run\.json cannot be read"):
        Store.open(store.root.parent, "mine")


def test_an_artifact_comes_back_as_it_was_left(store: Store) -> None:
    scratch = store.scratch("corpus", "f1")
    (scratch / "half").write_text("x", encoding="utf-8")
    leave(store, "corpus", "f1", "hello")
    found = store.find("corpus", "f1")
    assert found is not None
    assert (found.path / "file.txt").read_text(encoding="utf-8") == "hello"
    assert (found.parents, found.config, found.facts, found.seconds) == (("p",), {"a": 1}, {"size": 5}, 1.235)
    assert store.current() == {"corpus": found}
    assert store.facts() == {"corpus": {"size": 5}}
    assert not scratch.exists()
    assert store.find("corpus", "f2") is None


def test_one_that_fails_leaves_nothing_but_its_scratch(store: Store) -> None:
    leave(store, "corpus", "f1")
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure), store.publish("tokens", "f2", (), {}) as draft:
            (store.scratch("tokens", "f2") / "half").write_text("x", encoding="utf-8")
            (draft.path / "a").write_text("x", encoding="utf-8")
            raise failure
    assert [path.name for path in (store.root / "artifacts").iterdir()] == ["corpus-f1"]
    assert (store.scratch("tokens", "f2") / "half").exists()
    assert list(store.current()) == ["corpus"]


def test_what_a_kill_left_half_made_is_no_artifact_and_goes(store: Store) -> None:
    torn = store.root / "artifacts" / ".draft-corpus-f1"
    torn.mkdir(parents=True)
    (torn / "old").write_text("x", encoding="utf-8")
    assert store.all("corpus") == []
    leave(store, "corpus", "f1")
    assert not torn.exists()
    found = store.find("corpus", "f1")
    assert found is not None
    assert sorted(path.name for path in found.path.iterdir()) == ["file.txt", "manifest.json"]


def test_pruning_keeps_what_is_current(store: Store) -> None:
    for fingerprint in ("f1", "f2"):
        leave(store, "corpus", fingerprint)
    (store.root / "artifacts" / ".draft-tokens-f9").mkdir()
    (store.scratch("tokens", "f8") / "half").write_text("x", encoding="utf-8")
    store.prune(keep=())
    assert [path.name for path in (store.root / "artifacts").iterdir()] == ["corpus-f2"]
    assert not any((store.root / "scratch").iterdir()), "unfinished work of settings that nobody has any more"


def test_an_earlier_artifact_can_be_pointed_at_again(store: Store) -> None:
    for fingerprint in ("f1", "f2"):
        leave(store, "corpus", fingerprint)
    old = store.find("corpus", "f1")
    assert old is not None
    store.point("corpus", old)
    assert store.current()["corpus"].fingerprint == "f1"
    assert {artifact.fingerprint for artifact in store.all("corpus")} == {"f1", "f2"}


def test_the_journal_is_read_by_artifact_and_over_a_torn_line(store: Store) -> None:
    store.note("sft", "f1", event="saved", step=1)
    store.note("sft", "f2", event="saved", step=9)
    with (store.root / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"stage": "sft", "fing')
    store.note("sft", "f1", event="saved", step=2)
    assert [row["step"] for row in store.journal("sft", "f1")] == [1, 2]
    assert store.journal("grpo", "f1") == []


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(store: Store) -> None:
    words = [sys.executable, "-c", HOLD, str(store.root)]
    with subprocess.Popen(
        words, env=environment(), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="run 'mine' is in use by another groundup process"), store.locked():
            pass
        with pytest.raises(StoreError, match="in use"):
            store.remove()
        assert store.exists()
        other.kill()
        other.communicate()
    with store.locked():
        pass


def test_removing_takes_everything_but_what_a_link_points_at(store: Store, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "own.txt").write_text("mine", encoding="utf-8")
    (store.root / "link").symlink_to(tmp_path / "texts", target_is_directory=True)
    leave(store, "corpus", "f1")
    store.remove()
    assert not store.root.exists()
    assert (tmp_path / "texts" / "own.txt").read_text(encoding="utf-8") == "mine"


def test_a_run_without_a_recipe_is_taken_back_and_one_with_is_not(store: Store) -> None:
    store.discard()
    assert not store.root.exists()
    kept = Store.create(store.root.parent, "mine")
    kept.write_text("recipe.toml", "seed = 1\n")
    kept.discard()
    assert kept.exists()


def test_the_size_is_that_of_all_files(store: Store) -> None:
    before = store.size()
    leave(store, "corpus", "f1", "y" * 1000)
    manifest = (store.root / "artifacts" / "corpus-f1" / "manifest.json").stat().st_size
    pointers = len(json.dumps({"corpus": "f1"}, indent=1))
    assert store.size() - before == 1000 + manifest + pointers
