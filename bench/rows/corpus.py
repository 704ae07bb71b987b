"""documents a second through the same filters and MinHash signatures, on one core"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from bench.ceiling import copied_bytes_per_second
from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import Ground, Row
from bench.texts import documents, installed


class CorpusRow(Row):
    """Gopher's, C4's and FineWeb's rules and the signatures of near copies; without reading the files and starting."""

    knows: ClassVar = ("datatrove",)
    megabytes: float = Field(20.0, gt=0, description="of text")
    text: tuple[str, ...] = Field((), description="--data specs of the text; else the files of installed packages")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest."""
        most = int(self.megabytes * 1e6)
        texts = documents(self.text, most) if self.text else installed(most)
        folder = ground.folder / "documents"
        folder.mkdir()
        size = 0
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
            for number, text in enumerate(texts):
                size += file.write(json.dumps({"id": str(number), "text": text}) + "\n")
        shared: dict[str, Any] = {"texts": str(folder), "out": str(ground.folder)}
        players = [Player(OURS, "groundup_corpus.py", shared)]
        if peer := ground.peers.get("datatrove"):
            players.append(Player("datatrove", "datatrove_corpus.py", shared, peer.python))
        rate = copied_bytes_per_second()
        words = f"the text read and written once at {rate / 1e9:.1f} GB/s copied"
        yield Contest(
            f"corpus: {size / 1e6:.0f} MB, {len(texts):,} documents", "documents/s", players,
            floor=Floor(rate / 2 / (size / len(texts)), words),
        )  # fmt: skip
