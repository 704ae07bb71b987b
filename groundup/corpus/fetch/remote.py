"""Any URL that fsspec knows, and s3:// and gs:// by Arrow: a file, all files of a folder, or what a glob matches."""

import glob
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from groundup.corpus.fetch._base import Item, Place
from groundup.corpus.fetch.download import client, download
from groundup.errors import DataError, UnsupportedError
from groundup.events import Bar

WEB = ("http", "https")
# Arrow opens these without a further library; keys and regions come from the usual variables and files of AWS and GCP,
# a server of one's own is named in the URL: s3://bucket/folder?endpoint_override=HOST:PORT&scheme=http.
ARROW = ("s3", "gs", "gcs")
PIECE_BYTES = 4 << 20


def label_of(url: str) -> str:
    """A short name for a place: that of its file or folder, without suffixes.

    >>> label_of("s3://bucket/texts/*.jsonl"), label_of("https://host/a/list.csv.gz?x=1"), label_of("gs://bucket")
    ('texts', 'list', 'bucket')
    """
    parts = [part for part in url.partition("://")[2].partition("?")[0].split("/") if part and not glob.has_magic(part)]
    return re.sub(r"[^\w-]+", "-", parts[-1].partition(".")[0]) if parts else "data"


def shown(url: str) -> str:
    """A URL as it may be printed: without the name and the password in it.

    >>> shown("s3://name:word@bucket/texts")
    's3://bucket/texts'
    """
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def below(url: str, *names: str) -> str:
    """The URL of what lies in a folder; what stands behind a question mark stays at the end.

    >>> below("s3://bucket/runs/?region=x", "mine", "a"), below("memory://runs", "mine")
    ('s3://bucket/runs/mine/a?region=x', 'memory://runs/mine')
    """
    place, question, options = url.partition("?")
    return "/".join((place.rstrip("/"), *names)) + question + options


class Remote(Place):
    """A place given by its URL. Raises UnsupportedError, naming what to install, where a scheme needs a library."""

    def __init__(self, url: str) -> None:
        self.label, self.key = label_of(url), url
        self._scheme = urlsplit(url).scheme
        if self._scheme not in WEB:
            self._files, self._path = opened(url)

    def listing(self) -> list[Item]:
        """The file, the files below the folder, or those that match the glob, by name, hidden ones left out.

        Raises DataError.
        """
        if self._scheme in WEB:
            name = posixpath.basename(urlsplit(self.key).path) or "index.html"
            return [Item(name if "." in name else f"{name}.html", self.key)]
        try:
            found = self._found()
        except (OSError, ValueError) as error:
            raise DataError(
                f"{shown(self.key)}: cannot be listed: {error}; check the name, and that you may read it"
            ) from None
        return [
            Item(posixpath.relpath(path, self._root()), path, int(info.get("size") or 0))
            for path, info in sorted(found.items())
            if not any(part.startswith(".") for part in path.split("/"))
        ]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch a file; what an earlier try left is gone on with, if the size comes out right. Raises DataError."""
        if self._scheme in WEB:
            with client() as http:
                download(http, item.url, to, bar=bar)
            return
        part = to.with_name(f"{to.name}.part")
        try:
            with self._files.open(item.url, "rb") as source, part.open("ab") as file:
                source.seek(file.tell())
                bar.advance(file.tell())
                while piece := source.read(PIECE_BYTES):
                    file.write(piece)
                    bar.advance(len(piece))
        except (OSError, ValueError) as error:
            raise DataError(f"{item.url}: cannot be fetched: {error}; run again to go on") from None
        if part.stat().st_size != item.bytes:
            size = part.stat().st_size
            part.unlink()
            raise DataError(f"{item.url}: {size:,} bytes came, {item.bytes:,} were promised; run again")
        part.replace(to)

    def _found(self) -> dict[str, Any]:
        if glob.has_magic(self._path):
            return _files_only(self._files.glob(self._path, detail=True))
        if self._files.isdir(self._path):
            return _files_only(self._files.find(self._path, detail=True))
        return {self._path: self._files.info(self._path)}

    def _root(self) -> str:
        """The folder that names are relative to."""
        if glob.has_magic(self._path):
            parts = self._path.split("/")
            return "/".join(parts[: next(index for index, part in enumerate(parts) if glob.has_magic(part))])
        return self._path if self._files.isdir(self._path) else posixpath.dirname(self._path)


def _files_only(found: dict[str, Any]) -> dict[str, Any]:
    return {path: info for path, info in found.items() if info.get("type") == "file"}


def opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, with fsspec's interface, and the path in it.

    Raises UnsupportedError where the scheme needs a library that is not there, DataError for what is no place.
    """
    import fsspec

    scheme = urlsplit(url).scheme
    try:
        if scheme in ARROW:
            from fsspec.implementations.arrow import ArrowFSWrapper
            from pyarrow import fs

            place, question, options = url.partition("?") if "=" in url else (url, "", "")
            server, slash, path = place.partition("://")[2].strip("/").partition("/")
            files, _ = fs.FileSystem.from_uri(f"{scheme}://{server}{question}{options}")
            return ArrowFSWrapper(files), server.rpartition("@")[2] + slash + path
        files, path = fsspec.url_to_fs(url)
        return files, str(path).rstrip("/")
    except ImportError as error:
        raise UnsupportedError(f"{shown(url)}: {scheme}:// needs another library: {error}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(url)}: not a place that can be opened: {error}") from None
