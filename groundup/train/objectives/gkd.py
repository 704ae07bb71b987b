"""GKD: learn from a teacher's opinion of what the model says itself."""

from __future__ import annotations

from pydantic import Field

from groundup.train.objectives.distill import Distill


class Gkd(Distill):
    """Distillation on the student's own replies (generalised knowledge distillation, arXiv 2306.13649).

    The replies are drawn from the live model, so it learns where it really goes; no reward is asked for. `truth` would
    be the cross entropy of what it drew itself, and is 0.
    """

    learns_from = "rollouts"

    reverse: bool = Field(True, description="keep to what the teacher would say, and not cover all that it might")
