"""Talks whose replies another model rates: any that an OpenAI endpoint serves, one of ours among them.

Each reply is rated by itself, from 1 to 10, seeing the turns before it and a reference where there is one (the "single
answer grading" of Zheng et al. 2023, 2306.05685; the words of the request are ours).
"""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from groundup.corpus.conversation import Conversation, Message
from groundup.dialogue import Dialogue
from groundup.errors import DataError, ResourceError
from groundup.eval.published import Marks, Verdict
from groundup.events import SILENT, Reporter
from groundup.tasks.published._base import Talk

REPLY_TOKENS = 1024
"""Of a reply, where the context is that long (as in MT-Bench); else half of it."""
SECONDS = 120.0
"""The longest that a judge may think."""
WORKERS = 4
"""Ratings that are asked for at a time."""
RATING = re.compile(r"\[\[?\s*(10|[1-9])(?:\.\d+)?\s*\]?\]")

REQUEST = """\
Rate the last reply of an assistant to a user, as an impartial judge: is it helpful, relevant, right, deep enough, and
as long as it should be? Give your reasons in a few sentences, then the rating from 1 to 10 in this very form: [[5]].

{talk}{reference}"""


@dataclass(frozen=True)
class Judge:
    """A model behind an OpenAI endpoint: its address (that of `/v1`), its name, and the key that it asks for."""

    address: str
    model: str
    key: str = ""

    def rate(self, talk: Conversation, reference: str = "") -> int | None:
        """From 1 to 10, of the last message of a talk; None where the judge gives no rating.

        Raises ResourceError where the endpoint does not answer.
        """
        said = "\n\n".join(f"<{message.role}>\n{message.content}\n</{message.role}>" for message in talk)
        known = f"\n\n<reference>\n{reference}\n</reference>" if reference else ""
        asked = {
            "model": self.model, "temperature": 0.0, "max_tokens": 512,
            "messages": [{"role": "user", "content": REQUEST.format(talk=said, reference=known)}],
        }  # fmt: skip
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        place = f"{self.address.rstrip('/')}/chat/completions"
        request = urllib.request.Request(place, json.dumps(asked).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                text = str(json.load(answer)["choices"][0]["message"]["content"] or "")
        except urllib.error.HTTPError as error:
            told = error.read(300).decode("utf-8", "replace")
            raise ResourceError(f"{place}: the judge refuses ({error.code}: {told}); see --judge-model") from None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ResourceError(f"{place}: the judge does not answer ({error}); see --judge") from None
        found = RATING.findall(text)
        return int(found[-1]) if found else None


def converse(talks: Sequence[Talk], dialogue: Dialogue, progress: Reporter = SILENT) -> list[Conversation]:
    """Hold every talk, turn by turn, all of them together; a turn that the context cannot hold gets an empty reply."""
    held: list[Conversation] = [() for _ in talks]
    most = min(REPLY_TOKENS, dialogue.engine.length // 2)
    for turn in range(max(len(talk.turns) for talk in talks)):
        going = [place for place, talk in enumerate(talks) if turn < len(talk.turns)]
        asked: dict[int, Conversation] = {}
        for place in going:
            held[place] = (*held[place], Message("user", talks[place].turns[turn]))
            try:
                asked[place] = dialogue.fit(held[place], most)
            except DataError:
                held[place] = (*held[place], Message("assistant", ""))
        replies = dialogue.reply([*asked.values()], max_tokens=most, temperature=0.0, progress=progress)
        for place, reply in zip(asked, replies, strict=True):
            held[place] = (*held[place], reply.message)
    return held


def rate(talks: Sequence[Talk], held: Sequence[Conversation], judge: Judge, progress: Reporter = SILENT) -> Marks:
    """Have a judge rate every reply; a talk's score is a tenth of the mean of its ratings. An empty reply gets 1.

    Raises ResourceError where the judge does not answer, DataError where it rates nothing.
    """
    turns = [(place, turn) for place, talk in enumerate(talks) for turn in range(len(talk.turns))]
    with progress.task("ratings", total=len(turns), unit="replies") as bar, ThreadPoolExecutor(WORKERS) as workers:

        def one(each: tuple[int, int]) -> int | None:
            place, turn = each
            talk = held[place][: 2 * turn + 2]
            rating = judge.rate(talk, talks[place].references[turn]) if talk[-1].content.strip() else 1
            bar.advance()
            return rating

        ratings = dict(zip(turns, workers.map(one, turns), strict=True))
    verdicts = []
    for place, talk in enumerate(talks):
        given = {turn: rating for turn in range(len(talk.turns)) if (rating := ratings[place, turn]) is not None}
        if given:
            score = sum(given.values()) / len(given) / 10
            verdicts.append(Verdict(talk.id, score, {"rating": score}, talk.group))
    if not verdicts:
        raise DataError(f"{judge.model} gave none of {len(turns)} replies a rating; choose a judge that can")
    unrated = sum(rating is None for rating in ratings.values())
    return Marks(verdicts, None, "rating", {"judge": judge.model, "unrated": unrated})
