"""What holds for every task: the folder is walked, so a new file is tested by being there."""

import pytest

from groundup.config import Folder
from groundup.tasks._base import Task
from tasks.shelf import documents


def made(name: str) -> Task:
    task = Folder("tasks").find(name)()
    assert isinstance(task, Task)
    return task


@pytest.mark.parametrize("split", ["train", "held_out"])
@pytest.mark.parametrize("name", Folder("tasks").choices())
def test_gold_answer_is_right_and_silence_is_not(name, split):
    task = made(name)
    examples = task.examples(split, 40, 1, documents(split))
    assert len(examples) >= 10
    for example in examples:
        assert task.score(example, task.answer(example)) == 1.0
        assert task.score(example, "") == 0.0


@pytest.mark.parametrize("name", Folder("tasks").choices())
def test_answers_of_other_questions_are_seldom_right(name):
    task = made(name)
    examples = task.examples("held_out", 60, 1, documents("held_out"))
    shifted = examples[1:] + examples[:1]
    pairs = [(one, other) for one, other in zip(examples, shifted, strict=True) if one.expected != other.expected]
    right = sum(task.score(one, task.answer(other)) == 1.0 for one, other in pairs)
    limit = {"functions": len(pairs)}.get(name, 0.2 * len(pairs))  # any body that parses is a body
    assert right <= limit


@pytest.mark.parametrize("name", Folder("tasks").choices())
def test_splits_share_no_example(name):
    task = made(name)
    train, held_out = (
        {(task.ask(example), task.answer(example)) for example in task.examples(split, 100, 1, documents(split))}
        for split in ("train", "held_out")
    )
    assert train and held_out
    assert not train & held_out


@pytest.mark.parametrize("name", Folder("tasks").choices())
def test_same_arguments_same_examples(name):
    task, shelf = made(name), documents("train")
    assert task.examples("train", 20, 3, shelf) == task.examples("train", 20, 3, shelf)
    assert task.examples("train", 20, 3, shelf) != task.examples("train", 20, 4, shelf)


@pytest.mark.parametrize("name", Folder("tasks").choices())
def test_never_more_than_asked_and_none_of_nothing(name):
    task = made(name)
    assert len(task.examples("train", 7, 1, documents("train"))) <= 7
    assert task.examples("train", 0, 1, documents("train")) == []
    assert isinstance(task.examples("train", 5, 1, []), list)
