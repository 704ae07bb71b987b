"""ReCoRD: which name of a news article fills a gap in a sentence on it (Zhang et al. 2018, 1810.12885; SuperGLUE)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice
from groundup.tasks.published._names import bare
from groundup.tasks.published._records import Place, Record


class ReCoRD(MultipleChoice):
    """Which name fills a gap in a sentence on a news article; several may be right (the published exact match)."""

    place: ClassVar[Place] = Place("record", "aps/super_glue", "record", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`. Names that differ in case, articles or punctuation alone are one name."""
        text, *highlights = record["passage"].strip().split("\n@highlight\n")
        given = f"{text}\n\n" + "".join(f"  - {each}.\n" for each in highlights)
        names, answers = sorted(set(record["entities"])), {bare(answer) for answer in record["answers"]}
        right = [place for place, name in enumerate(names) if bare(name) in answers]
        said = [f"   - {record['query']}".replace("@placeholder", name) for name in names]
        return Item("", tuple((given, each) for each in said), right[0], also=tuple(right[1:]))
