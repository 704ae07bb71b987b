"""Servers that tests start on loopback: files with ranges, a bucket as S3 shows it, a hub of data sets."""

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Served:
    """A server that runs: its address, the files it has by path, and what it was asked, in order."""

    url: str
    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    breaks: dict[str, int] = field(default_factory=dict)
    """Path -> how many bytes of it come before the connection breaks, once."""
    busy: dict[str, int] = field(default_factory=dict)
    """Path -> how many times it is answered 503 first."""

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


Extra = Callable[[Served, str, dict[str, list[str]]], Answer | None]


@contextmanager
def serving(files: dict[str, bytes], extra: Extra = lambda served, path, query: None) -> Iterator[Served]:
    """Serve files by path, with ETags and ranges; `extra` answers first where it has an answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            served.asked.append(path)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, body = extra(served, path, parse_qs(parts.query)) or self._file(path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                stop = served.breaks.pop(path, None) if status < 300 else None
                self.wfile.write(body[:stop])
                if stop is not None:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

        do_HEAD = do_GET  # noqa: N815 - so http.server calls it

        def _file(self, path: str) -> Answer:
            if served.busy.get(path, 0) > 0:
                served.busy[path] -= 1
                return 503, {}, b""
            body = served.files.get(path)
            if body is None:
                return 404, {}, b"no such file"
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            kind = "text/html; charset=utf-8" if path.endswith((".html", "/")) else "application/octet-stream"
            headers = {"ETag": tag, "Content-Type": kind, "Last-Modified": "Sat, 01 Aug 2026 00:00:00 GMT"}
            asked = self.headers.get("Range", "")
            if not asked.startswith("bytes=") or self.headers.get("If-Range", tag) != tag:
                return 200, headers, body
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) if last else len(body) - 1, len(body) - 1)
            if start >= len(body):
                return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
            return 206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(body)}"}, body[start : end + 1]

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}", files)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def bucket(served: Served, path: str, query: dict[str, list[str]]) -> Answer | None:
    """The listing of a bucket (ListObjectsV2); its objects are files of the server."""
    name, _, key = path.strip("/").partition("/")
    if key or "list-type" not in query:
        return None
    prefix, mark = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
    keys = sorted(file.removeprefix(f"/{name}/") for file in served.files if file.startswith(f"/{name}/{prefix}"))
    folders = sorted(
        {prefix + k[len(prefix) :].split(mark)[0] + mark for k in keys if mark and mark in k[len(prefix) :]}
    )
    shown = [k for k in keys if not any(k.startswith(folder) for folder in folders)]
    rows = "".join(
        f"<Contents><Key>{escape(k)}</Key><LastModified>2026-08-01T00:00:00.000Z</LastModified>"
        f"<Size>{len(served.files[f'/{name}/{k}'])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for k in shown
    ) + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
    head = f"<Name>{name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown) + len(folders)}</KeyCount>"
    xml = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{head}<IsTruncated>false</IsTruncated>{rows}'
    return 200, {"Content-Type": "application/xml"}, f"{xml}</ListBucketResult>".encode()


def hub(name: str, card: dict[str, object], kind: str = "datasets") -> Extra:
    """A hub with one data set, whose files the server has under /datasets/NAME/resolve/COMMIT/, or with one of models.

    The hub has the files of a model under /NAME/resolve/COMMIT/.
    """
    commit = "c" * 40
    root = f"{'/datasets' if kind == 'datasets' else ''}/{name}/resolve/{commit}/"

    def answer(served: Served, path: str, query: dict[str, list[str]]) -> Answer | None:
        head = {"Content-Type": "application/json"}
        if path in (f"/api/{kind}/{name}", f"/api/{kind}/{name}/revision/main"):
            body = {
                "id": name,
                "sha": commit,
                "cardData": card,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
            return 200, head, json.dumps(body).encode()
        if path.startswith(f"/api/{kind}/{name}/tree/"):
            files = {file.removeprefix(root): data for file, data in served.files.items() if file.startswith(root)}
            rows = [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40, "lfs": _lfs(file, data)}
                for file, data in files.items()
            ]
            return 200, head, json.dumps([{k: v for k, v in row.items() if v is not None} for row in rows]).encode()
        if path.startswith("/api/"):
            return 404, {**head, "X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}'
        return None

    return answer


def _lfs(file: str, data: bytes) -> dict[str, object] | None:
    """What the hub keeps on a large file."""
    if not file.endswith((".parquet", ".gz", ".zst", ".safetensors")):
        return None
    return {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
