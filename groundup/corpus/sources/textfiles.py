"""Text, Markdown and source code: a file is a document, a long file a row of documents cut at blank lines."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from groundup.corpus.document import Document, Shard, Unreadable
from groundup.corpus.sources._base import FileSource
from groundup.corpus.streams import decode, lines

PROSE = ".txt .text .md .markdown .mdx .rst .adoc .asciidoc .org .tex .textile .wiki .pod"
CODE = (
    ".py .pyi .ipy .c .h .cc .cpp .cxx .hh .hpp .hxx .m .mm .cu .cuh .java .kt .kts .scala .groovy .clj .cs .fs "
    ".vb .go .rs .zig .nim .d .swift .dart .js .mjs .cjs .jsx .ts .mts .tsx .vue .svelte .php .rb .pl .pm .lua "
    ".tcl .r .jl .hs .ml .mli .elm .ex .exs .erl .lisp .el .scm .rkt .f .f90 .f95 .pas .ada .adb .ads .asm .s .v "
    ".sv .vhd .sql .sh .bash .zsh .fish .ps1 .bat .css .scss .less .cmake .mk .proto .thrift .graphql .tf .toml "
    ".yaml .yml .ini .cfg .conf "
)
# A chapter or a module is about this long: one file can be split into what is learnt from and what is held out.
DOCUMENT_BYTES = 32 << 10
# A line of prose is a paragraph at most; a longer one is data, not text.
LINE_BYTES = 1 << 20
BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")


class TextFiles(FileSource):
    """Reads text of any kind. A file of over 64 KiB is cut into documents of 32 KiB or more, `name#0001` and so on."""

    suffixes: ClassVar[frozenset[str]] = frozenset(f"{PROSE} {CODE}".split())
    fragile: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The documents of a file; lines over a megabyte, and what lies behind a break, are skipped by name."""
        number, first = 0, b""
        for piece in _pieces(shard):
            if isinstance(piece, Unreadable):
                if shard.part == 0:
                    yield piece
                continue
            number += 1
            if number == 1:
                first = piece  # held back: it has a number only if it is not the only one
                continue
            if number == 2 and shard.part == 0:
                yield self._document(shard, f"{shard.id}#{1:04d}", first)
            if (number - 1) % shard.parts == shard.part:
                yield self._document(shard, f"{shard.id}#{number:04d}", piece)
        if number == 1 and shard.part == 0:
            yield self._document(shard, shard.id, first)

    def _document(self, shard: Shard, name: str, data: bytes) -> Document:
        text, repaired = decode(data)
        return Document(name, text, self.label, shard.path, repaired)


def _pieces(shard: Shard) -> Iterator[bytes | Unreadable]:
    """The bytes of the file in documents. A cut is made only where at least as much is to come."""
    held, size = [], 0
    for line in lines(Path(shard.path), shard.id, LINE_BYTES):
        if isinstance(line, Unreadable):
            yield line
            continue
        held.append(line[1])
        size += len(line[1])
        if size >= 2 * DOCUMENT_BYTES:
            data = b"".join(held)
            cut = _cut(data)
            yield data[:cut]
            held, size = [data[cut:]], len(data) - cut
    if size:
        yield b"".join(held)


def _cut(data: bytes) -> int:
    """Where to cut: after the first blank line past 32 KiB, else after the first line end past it."""
    if match := BLANK_LINE.search(data, DOCUMENT_BYTES):
        return match.end()
    return (data.find(b"\n", DOCUMENT_BYTES) + 1) or len(data)
