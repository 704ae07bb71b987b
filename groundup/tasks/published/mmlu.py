"""MMLU: exams of 57 subjects, from school to profession (Hendrycks et al. 2020, 2009.03300)."""

import random
from collections.abc import Sequence
from typing import ClassVar

from groundup.errors import DataError
from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record

LETTERS = "ABCD"


class Mmlu(MultipleChoice):
    """Exams of 57 subjects, four options: the letter of the right one should be likeliest. Published with 5 shots."""

    place: ClassVar[Place] = Place("mmlu", "cais/mmlu", "all", shots="dev")

    def identity(self, record: Record, number: int) -> str:
        """The subject and the number in the whole test."""
        return f"{record['subject']}/{number}"

    def header(self, record: Record) -> str:
        """The subject, named."""
        subject = record["subject"].replace("_", " ")
        return f"The following are multiple choice questions (with answers) about {subject}.\n\n"

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, record["choices"], strict=True))
        prompt = f"{record['question'].strip()}\n{listed}\nAnswer:"
        return after(prompt, LETTERS, int(record["answer"]), record["subject"])

    def examples(self, pool: Sequence[Record], record: Record, draw: random.Random, itself: bool) -> Sequence[Record]:
        """The first of its subject. Raises DataError where there are too few."""
        found = [each for each in pool if each["subject"] == record["subject"] and each is not record]
        if len(found) < self.shots:
            raise DataError(f"mmlu: {self.shots} shots, and {len(found)} examples of {record['subject']}; use fewer")
        return found[: self.shots]
