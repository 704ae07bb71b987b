"""What a published benchmark is: records that become questions, and a score that is the harness's to the digit.

Few-shot examples are drawn as EleutherAI's lm-evaluation-harness draws them (one generator, seeded once, over all
records in their order), so an item's prompt depends neither on the limit nor on the other items that are asked.
"""

import random
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from groundup.config import Component
from groundup.errors import DataError
from groundup.tasks.published._records import Place, Record, Records

Some = TypeVar("Some")
Form = Literal["acc", "acc_norm", "acc_bytes", "acc_token"]
"""What a log-likelihood is divided by before options are compared: nothing, characters, bytes, tokens."""

FORMS: tuple[Form, ...] = ("acc", "acc_norm", "acc_bytes", "acc_token")

SHOTS_SEED = 1234
"""The harness's (`--seed`, its last number)."""


@dataclass(frozen=True)
class Item:
    """One question: `options` are pairs of what is given and what is scored after it, and number `right` is true.

    An only option is right when the model would have said it: when each of its tokens is the likeliest.
    """

    id: str
    options: tuple[tuple[str, str], ...]
    right: int = 0
    group: str = ""
    also: tuple[int, ...] = ()
    """Options that are right too."""

    @property
    def solved(self) -> str:
        """The question with its answer, as few-shot examples show it."""
        return "".join(self.options[self.right])


class Benchmark(Component):
    """A published set of records."""

    place: ClassVar[Place]

    def identity(self, record: Record, number: int) -> str:
        """What names a record in lists: by default its number in its split."""
        return str(number)

    @abstractmethod
    def items(self, records: Records) -> Sequence[Any]:
        """What is put to a model, in the order of the records. Raises DataError for a broken record, or for none."""

    def asked(self, records: Records) -> list[Record]:
        """The records that are asked. Raises DataError where there is none."""
        found = records.read(self.place, self.place.split)
        if not found:
            raise DataError(f"{self.name}: the data hold no split {self.place.split!r}; give the file that has it")
        return found


class Asked(Benchmark):
    """Questions: `shots` solved examples stand before each."""

    shots: int = Field(0, ge=0, le=100, description="solved examples before each question")

    def pool(self, records: Records, asked: Sequence[Record]) -> Sequence[Record]:
        """What few-shot examples are drawn from: the split for them, else what is asked."""
        place = self.place
        return (records.read(place, place.shots) if place.shots else ()) or asked

    def examples(self, pool: Sequence[Record], record: Record, draw: random.Random, itself: bool) -> Sequence[Record]:
        """The few-shot examples of one record; with `itself` it is in the pool and must not be among them.

        Raises DataError where there are too few.
        """
        wanted = self.shots + itself
        if wanted > len(pool):
            raise DataError(f"{self.name}: {self.shots} shots, and {len(pool)} records to draw them from; use fewer")
        return [each for each in draw.sample(pool, wanted) if each is not record][: self.shots]


class MultipleChoice(Asked):
    """Questions whose answer is the likeliest of a few options; ties are wrong."""

    form: ClassVar[Form] = "acc"
    """The form that is its score."""

    @abstractmethod
    def question(self, record: Record) -> Item:
        """The question of a record without examples; its id is not looked at. Raises DataError for a broken record."""

    def header(self, record: Record) -> str:
        """What stands before the examples."""
        return ""

    def items(self, records: Records) -> list[Item]:
        """Every question, in the order of the records. Raises DataError for a broken record, or where there is none."""
        asked = self.asked(records)
        pool = self.pool(records, asked) if self.shots else ()
        draw, found = random.Random(SHOTS_SEED), []
        for number, record in enumerate(asked):
            item = replace(self._question(record), id=self.identity(record, number))
            before = self.header(record)
            if self.shots:
                examples = self.examples(pool, record, draw, itself=pool is asked)
                before += "".join(f"{self._question(example).solved}\n\n" for example in examples)
            if before:
                item = replace(item, options=tuple((before + given, said) for given, said in item.options))
            found.append(item)
        return found

    def _question(self, record: Record) -> Item:
        item = understood(self, record, self.question)
        if not 0 <= item.right < len(item.options):
            raise DataError(f"{record.where}: answer {item.right} of {len(item.options)} options; mend the record")
        return item


def understood(benchmark: Benchmark, record: Record, read: Callable[[Record], Some]) -> Some:
    """What `read` makes of a record. Raises DataError, with the record's place, where it cannot."""
    try:
        return read(record)
    except DataError:
        raise
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{record.where}: no record of {benchmark.name} ({error}); see docs/evaluate.md") from None


def after(prompt: str, options: Sequence[str], right: int, group: str = "") -> Item:
    """The usual question: every option follows the same prompt, and a space."""
    return Item("", tuple((prompt, f" {option}") for option in options), right, group)


def labelled(record: Record) -> tuple[list[str], int]:
    """The options of a record and which is right: `choices` of texts with `labels`, or the hub's nested form."""
    choices = record["choices"]
    nested = isinstance(choices, dict)
    texts, labels = (choices["text"], choices["label"]) if nested else (choices, record["labels"])
    return list(texts), list(labels).index(record["answerKey"].strip())


@dataclass(frozen=True)
class Passage:
    """A text that is read whole: what it costs is told over bytes and words, which may be those of another form."""

    id: str
    text: str
    n_bytes: int
    n_words: int


class Texts(Benchmark):
    """Texts whose likelihood is measured: bits per byte, and perplexity a word."""

    @abstractmethod
    def passages(self, record: Record) -> Iterable[Passage]:
        """The passages of a record; their ids are not looked at. Raises DataError for a broken record."""

    def items(self, records: Records) -> list[Passage]:
        """Every passage, in the order of the records. Raises DataError where there is none."""
        every = [passage for record in self.asked(records) for passage in self.passages(record)]
        return [replace(passage, id=str(number)) for number, passage in enumerate(every)]


@dataclass(frozen=True)
class Prompt:
    """A text that a model goes on from (or a message that it answers), and what a right reply has in it.

    `answer` is a reply that scores 1.0; `expected` is whatever else the score looks for.
    """

    id: str
    text: str
    answer: str
    expected: Any = None
    group: str = ""


class Written(Asked):
    """Questions whose answer a model writes, read by a stated rule."""

    chance: ClassVar[float | None] = None
    """What guessing scores, where that is known."""
    form: ClassVar[str] = "exact_match"
    """What the score is called."""
    until: ClassVar[tuple[str, ...]] = ("\n\n",)
    """Strings at which a reply ends."""
    most: ClassVar[int] = 256
    """Tokens of a reply."""
    between: ClassVar[str] = " "
    """What stands between an example and its answer."""

    @abstractmethod
    def prompt(self, record: Record) -> Prompt:
        """The question of a record without examples; its id is not looked at. Raises DataError for a broken record."""

    @abstractmethod
    def score(self, prompt: Prompt, reply: str) -> float:
        """From 0.0 to 1.0; 1.0 is right. `reply` ends before the first of `until`.

        Raises UnsupportedError where this machine cannot tell.
        """

    def forms(self, prompt: Prompt, reply: str) -> dict[str, float]:
        """The score, and where there are stricter or looser ones those too, by their names."""
        return {self.form: self.score(prompt, reply)}

    def items(self, records: Records) -> list[Prompt]:
        """Every prompt, in the order of the records. Raises DataError for a broken record, or where there is none."""
        asked = self.asked(records)
        pool = self.pool(records, asked) if self.shots else ()
        draw, found = random.Random(SHOTS_SEED), []
        for number, record in enumerate(asked):
            prompt = replace(self._read(record), id=self.identity(record, number))
            if self.shots:
                shown = [self._read(each) for each in self.examples(pool, record, draw, itself=pool is asked)]
                before = "".join(f"{each.text}{self.between}{each.answer}\n\n" for each in shown)
                prompt = replace(prompt, text=before + prompt.text)
            found.append(prompt)
        return found

    def _read(self, record: Record) -> Prompt:
        return understood(self, record, self.prompt)


@dataclass(frozen=True)
class Talk:
    """What a user says, turn by turn, and a good reply to each where one is known (else "")."""

    id: str
    turns: tuple[str, ...]
    references: tuple[str, ...]
    group: str = ""


class Talks(Benchmark):
    """Conversations whose replies another model rates."""

    @abstractmethod
    def talk(self, record: Record) -> Talk:
        """The talk of a record; its id is not looked at. Raises DataError for a broken record."""

    def items(self, records: Records) -> list[Talk]:
        """Every talk, in the order of the records. Raises DataError for a broken record, or where there is none."""
        return [
            replace(understood(self, record, self.talk), id=self.identity(record, number))
            for number, record in enumerate(self.asked(records))
        ]
