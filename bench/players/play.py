"""What the process of every contestant does: get ready, then play a round for each line that it is sent.

Standard library only, so that it runs in any peer's environment. Standard output is kept for the answers, one line of
JSON each; whatever a peer prints goes to standard error.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Round = Callable[[], dict[str, Any]]
"""Plays one round; its answer has `value`, in the unit of the contest, and anything else that is worth keeping."""


def play(prepare: Callable[[dict[str, Any]], Round]) -> None:
    """Prepare with the settings in the first argument, say so, and play until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    turn = prepare(json.loads(sys.argv[1]))
    say({"ready": True})
    for _ in sys.stdin:
        say(turn())
