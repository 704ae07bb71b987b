"""megabytes a second of text not seen before to ids in arrays, with one vocabulary and pattern; and learning it"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from bench.ceiling import copied_bytes_per_second
from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import Ground, Row
from bench.texts import documents, installed, vocabulary


class TokenizerRow(Row):
    """Encoding, every round in a new process. All players must give the same ids; the result says whether they do."""

    knows: ClassVar = ("tiktoken", "tokenizers")
    vocab: int = Field(32768, ge=512, description="ids of the vocabulary, learnt from Python's own library")
    megabytes: float = Field(100.0, gt=0, description="of text to encode")
    text: tuple[str, ...] = Field((), description="--data specs of the text; else the files of installed packages")
    learn: float = Field(60.0, ge=0, description="megabytes to learn a vocabulary from; 0: that is not held")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """Encoding; then learning a vocabulary from the same text."""
        from groundup.corpus.crew import usable_cores

        most = int(self.megabytes * 1e6)
        texts = documents(self.text, most) if self.text else installed(most)
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        (ground.folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        vocabulary(self.vocab).save(ground.folder / "vocabulary")
        shared: dict[str, Any] = {"folder": str(ground.folder), "bytes": size, "threads": usable_cores()}
        rate = copied_bytes_per_second()
        players = [Player(OURS, "groundup_tokenizer.py", shared, fresh=True)]
        for name in self.knows:
            if name in ground.peers:
                players.append(Player(name, f"{name}_tokenizer.py", shared, ground.peers[name].python, fresh=True))
        words = f"the text read once and an id of 4 bytes written for 4 bytes of text, at {rate / 1e9:.1f} GB/s copied"
        yield Contest(
            f"tokenizer: {size / 1e6:.0f} MB at {self.vocab:,} ids",
            "MB/s", players, floor=Floor(rate / 2 / 1e6, words), same="ids",
        )  # fmt: skip
        if self.learn:
            shared |= {"vocab": self.vocab, "learn": self.learn}
            players = [Player(OURS, "groundup_learn.py", shared, fresh=True)]
            if peer := ground.peers.get("tokenizers"):
                players.append(Player("tokenizers", "tokenizers_learn.py", shared, peer.python, fresh=True))
            yield Contest(f"tokenizer: {self.vocab:,} ids learnt from {self.learn:.0f} MB", "MB/s", players)
