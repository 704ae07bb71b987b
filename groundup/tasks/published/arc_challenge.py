"""ARC, the challenge: the questions that retrieval and co-occurrence got wrong (Clark et al. 2018, 1803.05457)."""

from typing import ClassVar

from groundup.tasks.published import arc_easy
from groundup.tasks.published._records import Place


class ArcChallenge(arc_easy.ArcEasy):
    """School science, mostly of four options; the hard part."""

    place: ClassVar[Place] = Place("arc_challenge", "allenai/ai2_arc", "ARC-Challenge", shots="train")
