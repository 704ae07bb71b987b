"""The conversations for fine-tuning: many tasks, shuffled into one set."""

from collections.abc import Iterator, Sequence
from random import Random

from groundup.corpus.conversation import Conversation, Message
from groundup.corpus.document import Document
from groundup.tasks._base import Split, Task
from groundup.tasks._excerpt import size


def conversations(
    tasks: Sequence[Task],
    documents: Sequence[Document],
    counts: Sequence[int],
    seed: int,
    split: Split = "train",
    *,
    joined: float = 0.2,
    max_bytes: int = 680,
) -> list[Conversation]:
    """`counts[i]` examples of `tasks[i]` as conversations, in an order that the seed gives.

    Call it once for each split, with the documents of that split. About `joined` of the examples are the second or
    third turn of a conversation that stays under `max_bytes`, so that a model meets turns which follow others. A task
    that has fewer examples gives fewer, and the first task makes up for the others: prose has no functions.
    """
    found = [task.examples(split, count, seed, documents) for task, count in zip(tasks[1:], counts[1:], strict=True)]
    if tasks:
        first = sum(counts) - sum(map(len, found))
        found.insert(0, tasks[0].examples(split, first, seed, documents))
    talks = [
        (*task.ask(example), Message("assistant", task.answer(example)))
        for task, examples in zip(tasks, found, strict=True)
        for example in examples
    ]
    random = Random(f"conversations {split} {seed}")
    random.shuffle(talks)
    return list(_join(talks, joined, max_bytes, random))


def _join(talks: Sequence[Conversation], joined: float, max_bytes: int, random: Random) -> Iterator[Conversation]:
    """Neighbours put together at random, as far as they fit."""
    current: Conversation = ()
    for talk in talks:
        if current and random.random() < joined and _size(current) + _size(talk) <= max_bytes:
            current = (*current, *talk)
            continue
        if current:
            yield current
        current = talk
    if current:
        yield current


def _size(talk: Conversation) -> int:
    return sum(size(message.content) for message in talk)
