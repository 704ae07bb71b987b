"""MT-Bench: 80 talks of two turns, rated by another model (Zheng et al. 2023, 2306.05685)."""

from typing import ClassVar

from groundup.tasks.published._base import Talk, Talks
from groundup.tasks.published._records import Place, Record


class MtBench(Talks):
    """Two-turn talks of eight kinds; a judge rates each reply from 1 to 10, and a tenth of the mean is the score."""

    place: ClassVar[Place] = Place("mt_bench", "HuggingFaceH4/mt_bench_prompts", split="train")

    def talk(self, record: Record) -> Talk:
        """See `Talks.talk`."""
        turns = tuple(record["turns" if "turns" in record else "prompt"])
        known = tuple(record.get("reference") or ())
        return Talk("", turns, known if len(known) == len(turns) else ("",) * len(turns), record["category"])

    def identity(self, record: Record, number: int) -> str:
        """The question's own number."""
        return str(record["question_id" if "question_id" in record else "prompt_id"])
