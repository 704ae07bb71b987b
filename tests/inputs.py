"""A small file of every kind that is read, made by hand or by the library that people make them with."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc, parquet

ESCAPED = str.maketrans({"(": r"\(", ")": r"\)", "\\": r"\\"})
WIKI = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><base>https://en.example.org/wiki/Main_Page</base><namespaces>
    <namespace key="0" case="first-letter" /><namespace key="6" case="first-letter">File</namespace>
    <namespace key="14" case="first-letter">Category</namespace></namespaces></siteinfo>
{pages}</mediawiki>
"""
WIKI_PAGE = """  <page><title>{title}</title><ns>{ns}</ns><id>{id}</id>{redirect}<revision><id>9{id}</id>
    <text bytes="1" xml:space="preserve">{text}</text></revision></page>
"""


def rows(texts: Sequence[str]) -> list[dict[str, str]]:
    """A record for each text."""
    return [{"id": f"r{number}", "title": "t", "text": text} for number, text in enumerate(texts)]


def write_txt(path: Path, texts: Sequence[str]) -> None:
    """A paragraph each."""
    path.write_text("\n\n".join(texts), encoding="utf-8")


def write_jsonl(path: Path, texts: Sequence[str]) -> None:
    """A line each."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(texts)), encoding="utf-8")


def write_csv(path: Path, texts: Sequence[str]) -> None:
    """A row each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "text"])
        writer.writeheader()
        writer.writerows(rows(texts))


def write_parquet(path: Path, texts: Sequence[str]) -> None:
    """A row each, in groups of a tenth."""
    parquet.write_table(pa.Table.from_pylist(rows(texts)), path, row_group_size=max(1, len(texts) // 10))


def write_arrow(path: Path, texts: Sequence[str]) -> None:
    """A row each, in batches of a tenth, as an Arrow file."""
    table = pa.Table.from_pylist(rows(texts))
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(texts) // 10))


def write_html(path: Path, texts: Sequence[str]) -> None:
    """One page with a paragraph each."""
    path.write_text(html(texts), encoding="utf-8")


def html(texts: Sequence[str]) -> str:
    """A page with a menu, a script and a paragraph each."""
    body = "".join(f"<p>{text}</p>" for text in texts)
    head = "<html><head><title>T</title><script>var x = 1</script></head><body><nav><a href='/'>Home</a></nav>"
    return f"{head}<main><article><h1>On tides</h1>{body}</article></main></body></html>"


def write_warc(path: Path, texts: Sequence[str]) -> None:
    """A page each, with the request before it."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        for number, text in enumerate(texts):
            url = f"http://example.org/{number}"
            ask = StatusAndHeaders("GET / HTTP/1.1", [("Host", "example.org")], is_http_request=True)
            writer.write_record(writer.create_warc_record(url, "request", http_headers=ask))
            head = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            page = io.BytesIO(html([text]).encode())
            writer.write_record(writer.create_warc_record(url, "response", payload=page, http_headers=head))


def write_epub(path: Path, texts: Sequence[str], locked: bool = False) -> None:
    """A chapter each, after a table of contents."""
    names = [f"c{number}.xhtml" for number in range(len(texts))]
    items = "".join(
        f'<item id="{name}" href="text/{name}" media-type="application/xhtml+xml"{extra}/>'
        for name, extra in [("nav.xhtml", ' properties="nav"'), *((name, "") for name in names)]
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in ["nav.xhtml", *names])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        if locked:
            book.writestr("META-INF/encryption.xml", '<e><EncryptionMethod Algorithm="urn:x-aes"/></e>')
        opf = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
        book.writestr("OPS/book.opf", opf)
        book.writestr("OPS/text/nav.xhtml", "<html><body><nav>Contents</nav></body></html>")
        for name, text in zip(names, texts, strict=True):
            book.writestr(f"OPS/text/{name}", f"<html><body><h2>{name}</h2><p>{text}</p></body></html>")


def write_pdf(path: Path, texts: Sequence[str], locked: bool = False) -> None:
    """A page each, in lines of about sixty characters under a running head. Locked: with a password nobody knows."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for number, text in enumerate(texts, 1):
        lines = [f"A Book of Tides {number}", *_wrapped(text)]
        shown = " T* ".join(f"({line.translate(ESCAPED)}) Tj" for line in lines)
        stream = f"BT /F1 11 Tf 14 TL 50 800 Td {shown} ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        kids.append(f"{len(objects) + 1} 0 R")
        page = f"/Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 840] {page} >>")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    key = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'4e' * 32}> /U <{'55' * 32}> >>"
    objects += [key] if locked else []
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    guard = f"/Encrypt {len(objects)} 0 R /ID [<00> <00>]" if locked else ""
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {guard} >>\nstartxref\n{len(data)}\n%%EOF\n"
    path.write_bytes(data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode())


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        lines = [*lines, word] if len(lines[-1]) + len(word) > 60 else [*lines[:-1], f"{lines[-1]} {word}".strip()]
    return lines


def write_mediawiki(path: Path, texts: Sequence[str]) -> None:
    """An article each, after a redirect and a talk page."""
    pages = [
        WIKI_PAGE.format(title="Old", ns=0, id=900001, redirect='<redirect title="New" />', text="#REDIRECT [[New]]"),
        WIKI_PAGE.format(title="Talk:Old", ns=1, id=900002, redirect="", text="I think so."),
        *(
            WIKI_PAGE.format(title=f"Page {number}", ns=0, id=number, redirect="", text=text)
            for number, text in enumerate(texts, 1)
        ),
    ]
    path.write_text(WIKI.format(pages="".join(pages)), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, Sequence[str]], None]] = {
    "plain.txt": write_txt,
    "records.jsonl": write_jsonl,
    "table.csv": write_csv,
    "table.parquet": write_parquet,
    "table.arrow": write_arrow,
    "page.html": write_html,
    "crawl.warc.gz": write_warc,
    "book.epub": write_epub,
    "paper.pdf": write_pdf,
    "dump.xml": write_mediawiki,
}
"""Every format that is read, by the name of its example."""
