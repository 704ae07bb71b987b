"""The set for fine-tuning: everything in it, once, in an order of the seed, the splits apart."""

from groundup.tasks._mix import conversations
from groundup.tasks.arithmetic import Arithmetic
from groundup.tasks.identity import Identity
from groundup.tasks.passages import Passages
from tasks.shelf import documents

TASKS, COUNTS = (Arithmetic(), Identity(), Passages()), (60, 40, 50)


def turns(talks):
    return [pair for talk in talks for pair in zip(talk[::2], talk[1::2], strict=True)]


def test_every_example_is_in_it_once_and_roles_alternate():
    shelf = documents("train")
    talks = conversations(TASKS, shelf, COUNTS, 1)
    expected = [
        (task.ask(example)[0], task.answer(example))
        for task, count in zip(TASKS, COUNTS, strict=True)
        for example in task.examples("train", count, 1, shelf)
    ]
    assert sorted((ask.content, reply.content) for ask, reply in turns(talks)) == sorted(
        (ask.content, reply) for ask, reply in expected
    )
    assert all((ask.role, reply.role) == ("user", "assistant") for ask, reply in turns(talks))


def test_some_are_longer_than_one_turn_and_none_than_the_budget():
    talks = conversations(TASKS, documents("train"), COUNTS, 1, joined=0.5, max_bytes=700)
    assert any(len(talk) > 2 for talk in talks)
    assert all(sum(len(message.content.encode()) for message in talk) <= 700 for talk in talks if len(talk) > 2)
    assert all(len(talk) == 2 for talk in conversations(TASKS, documents("train"), COUNTS, 1, joined=0.0))


def test_same_seed_same_order_and_splits_apart():
    first = conversations(TASKS, documents("train"), COUNTS, 1)
    assert first == conversations(TASKS, documents("train"), COUNTS, 1)
    assert first != conversations(TASKS, documents("train"), COUNTS, 2)
    held_out = conversations(TASKS, documents("held_out"), COUNTS, 1, "held_out")
    assert not {ask for ask, _ in turns(first)} & {ask for ask, _ in turns(held_out)}
