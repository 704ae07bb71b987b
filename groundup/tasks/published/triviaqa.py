"""TriviaQA: questions of quizzes, without the pages that answer them (Joshi et al. 2017, 1705.03551)."""

import string
from typing import ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._records import Place, Record


class Triviaqa(Written):
    """Quiz questions: the reply is one of the names of the answer, but for case and punctuation."""

    place: ClassVar[Place] = Place(
        "triviaqa", "mandarjoshi/trivia_qa", "rc.nocontext", split="validation", shots="train"
    )
    until: ClassVar[tuple[str, ...]] = ("\n", ".", ",")
    most: ClassVar[int] = 32

    def identity(self, record: Record, number: int) -> str:
        """The question's own id."""
        return str(record["question_id"])

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        names = list(record["answer"]["aliases"])
        return Prompt("", f"Question: {record['question']}?\nAnswer:", names[0], tuple(map(_bare, names)))

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the reply is one of the names."""
        return float(bool(_bare(reply)) and _bare(reply) in prompt.expected)


def _bare(text: str) -> str:
    return text.strip().lower().translate(str.maketrans("", "", string.punctuation))
