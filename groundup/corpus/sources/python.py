"""The embedded corpus: the Python standard library of the running interpreter, read where it lies."""

import hashlib
import io
import platform
import re
import sysconfig
import tokenize
import tomllib
from collections.abc import Iterator
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from groundup.corpus.document import Document, Shard, Source, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES
from groundup.corpus.streams import whole
from groundup.errors import DataError


class Python(Source):
    """Every module of the library that `python.toml` does not exclude; its id is its path, `json/decoder.py`."""

    fragile: ClassVar[bool] = False

    label: str = "python"

    def shards(self) -> list[Shard]:
        """One shard a module, by path. Raises DataError where the interpreter has its library in an archive only."""
        root = Path(sysconfig.get_path("stdlib"))
        excluded = re.compile("|".join(map(translate, _rules()["exclude"])))
        names = [path.relative_to(root).as_posix() for path in root.rglob("*.py")]
        kept = sorted(name for name in names if not any(map(excluded.match, (name, *name.split("/")))))
        if not kept:
            raise DataError(f"{root}: this interpreter has no library sources; give --data a folder of your own")
        return [Shard(str(root / name), name, 0, 1, (root / name).stat().st_size) for name in kept]

    def read(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The module, decoded as its first lines declare (PEP 263)."""
        data = whole(Path(shard.path), shard.id, DOCUMENT_BYTES)
        if isinstance(data, Unreadable):
            yield data
            return
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
            yield Document(shard.id, data.decode(encoding), self.label, shard.path)
        except (SyntaxError, UnicodeDecodeError) as error:
            detail = f"{shard.path}: not in the encoding that it declares: {error}"
            yield Unreadable(shard.id, shard.path, "wrong_encoding", detail)

    def held_out(self, document_id: str) -> bool | None:
        """Whether the top-level module is listed in `python.toml`."""
        return document_id.partition("/")[0].removesuffix(".py") in _rules()["held_out"]

    def facts(self) -> dict[str, Any]:
        """Interpreter, modules, bytes, and one sha256 over all modules: of each its path and its content, by path."""
        total, seal = 0, hashlib.sha256()
        shards = self.shards()
        for shard in shards:
            data = Path(shard.path).read_bytes()
            total += len(data)
            seal.update(f"{shard.id}\0{len(data)}\0".encode() + data)
        return {
            "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
            "modules": len(shards),
            "source_bytes": total,
            "sha256": seal.hexdigest(),
        }


@cache
def _rules() -> dict[str, list[str]]:
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        return tomllib.load(file)
