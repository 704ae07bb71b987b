"""The other side of `harness.py`: run by the python of an environment that has lm-eval, and not by ours.

An order comes as one line of JSON on standard input; then this process asks, on standard output, and is answered, a
line each, until it says what the harness found. It needs lm-eval and the standard library.
"""

import json
import os
import sys
from typing import Any, TextIO


class Line:
    """The way to the model: questions out, answers in."""

    def __init__(self, reading: TextIO, writing: TextIO) -> None:
        self.reading, self.writing = reading, writing

    def ask(self, what: str, requests: list[Any]) -> list[Any]:
        """The answers to requests of a kind."""
        self.tell({"ask": what, "requests": requests})
        answers: list[Any] = json.loads(self.reading.readline())
        return answers

    def tell(self, value: dict[str, Any]) -> None:
        """One line."""
        self.writing.write(json.dumps(value, default=str) + "\n")
        self.writing.flush()


def main() -> None:
    """Read the order, run the harness, tell its results."""
    line = Line(sys.stdin, os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what the harness prints is not an answer
    order = json.loads(sys.stdin.readline())
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=order["include"])
    found = simple_evaluate(
        model=_model(line), tasks=order["tasks"], num_fewshot=order["shots"], limit=order["limit"],
        task_manager=manager, bootstrap_iters=0, log_samples=False,
    )  # fmt: skip
    line.tell({"results": found["results"], "versions": found.get("versions", {}), "n": found.get("n-samples", {})})


def _model(line: Line) -> Any:
    """The harness's model: its three methods, each one question."""
    from lm_eval.api.model import LM

    class Groundup(LM):  # type: ignore[misc]
        """A model in another process."""

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            """How likely each continuation is, and whether it is what the model would say."""
            answers = line.ask("loglikelihood", [list(request.args[:2]) for request in requests])
            return [(logp, greedy) for logp, greedy in answers]

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            """How likely each text is."""
            return line.ask("rolling", [request.args[0] for request in requests])

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            """What the model goes on with."""
            return line.ask("generate", [list(request.args[:2]) for request in requests])

    return Groundup()


if __name__ == "__main__":
    main()
