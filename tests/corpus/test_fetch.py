"""Data on other machines: real clients, and servers on loopback that break off, are busy, forbid or change."""

import bz2
import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import inputs
from groundup.corpus.document import Document, Raw, Unreadable
from groundup.corpus.fetch._base import Place
from groundup.corpus.fetch.crawl import Crawl
from groundup.corpus.fetch.download import client, download
from groundup.corpus.fetch.dumps import CommonCrawl, Wikipedia
from groundup.corpus.fetch.hub import Hub
from groundup.corpus.fetch.place import bring, place_of
from groundup.corpus.sources._base import Opened, fetch, open_spec
from groundup.errors import DataError, UnsupportedError
from groundup.events import SILENT
from servers import bucket, hub, serving

BIG = bytes(range(256)) * 20_000


def read(opened: Opened) -> list[Document | Unreadable]:
    found = [item for source in opened.sources for shard in source.shards() for item in source.read(shard)]
    return [*opened.skipped, *(item.taken() if isinstance(item, Raw) else item for item in found)]


def names(place: Place, cache: Path) -> list[str]:
    return [file.id for file in bring(place, cache).files]


def test_a_download_that_breaks_off_is_gone_on_with(tmp_path: Path) -> None:
    with serving({"/big": BIG}) as served, client() as http:
        served.breaks["/big"] = 2_000_000
        served.busy["/big"] = 1
        digest = f"sha1:{hashlib.sha1(BIG).hexdigest()}"
        download(http, f"{served.url}/big", tmp_path / "big", digest=digest, pause=0.01)
        ranges = [headers.get("range", "") for headers in served.headers]
    assert (tmp_path / "big").read_bytes() == BIG and [path.name for path in tmp_path.iterdir()] == ["big"]
    assert len(ranges) == 3 and ranges[:2] == ["", ""] and 0 < int(ranges[2][6:-1]) <= 2_000_000


def test_a_file_that_changed_since_the_break_is_fetched_anew(tmp_path: Path) -> None:
    with serving({"/big": BIG}) as served, client() as http:
        (tmp_path / "big.part").write_bytes(b"old")
        (tmp_path / "big.part.etag").write_text('"other"')
        download(http, f"{served.url}/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == BIG


def test_what_is_not_what_was_promised_is_removed(tmp_path: Path) -> None:
    with serving({"/big": BIG}) as served, client() as http:
        with pytest.raises(DataError, match="its sha256 is"):
            download(http, f"{served.url}/big", tmp_path / "big", digest="sha256:00")
        with pytest.raises(DataError, match="/gone: the server answers 404 Not Found"):
            download(http, f"{served.url}/gone", tmp_path / "gone")
    with client() as http, pytest.raises(DataError, match="cannot be fetched"):
        download(http, f"{served.url}/big", tmp_path / "big", pause=0.0)
    assert not list(tmp_path.iterdir())


def test_a_web_address_is_fetched_once_and_then_needs_no_network(tmp_path: Path) -> None:
    with serving({"/a/page.html": inputs.html(["The tide rises and falls. " * 9]).encode()}) as served:
        spec = f"{served.url}/a/page.html"
        opened = open_spec(f"{spec}=2", cache=tmp_path)
        first = read(opened)
        assert opened.weight == 2 and served.asked == ["/a/page.html"]
        asked = [open_spec(f"{spec}?{tail}", cache=tmp_path).weight for tail in ("n=2", "n=2=3", "a=1&b=2")]
        assert asked == [1.0, 3.0, 1.0]
    again = open_spec(spec, cache=tmp_path)
    assert read(again) == first and again.label == "page"
    assert isinstance(first[0], Document) and "The tide rises" in first[0].text
    (folder, *_) = tmp_path.iterdir()
    digest, name = (folder / "sha256sums.txt").read_text().split()
    assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_a_bucket_is_listed_and_read(tmp_path: Path) -> None:
    files = {
        "/texts/books/a.txt": b"Text a.", "/texts/books/deep/b.txt": b"Text b.", "/texts/books/.hidden.txt": b"no",
        "/texts/other/c.txt": b"Text c.",
    }  # fmt: skip
    with serving(files, bucket) as served:
        where = f"?endpoint_override={served.host}&scheme=http&region=x"
        opened = open_spec(f"s3://k:s@texts/books{where}", cache=tmp_path)
        assert {item.id: item.text for item in read(opened) if isinstance(item, Document)} == {
            "a.txt": "Text a.",
            "deep/b.txt": "Text b.",
        }
        globbed = bring(place_of(f"s3://k:s@texts/*/c.txt{where}"), tmp_path)
        assert [file.id for file in globbed.files] == ["other/c.txt"]
        with pytest.raises(DataError, match="cannot be listed"):
            bring(place_of(f"s3://k:s@texts/none.txt{where}"), tmp_path)


def test_other_file_systems_of_fsspec_are_read(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/texts/a.txt": b"Text a.", "/texts/b.md": b"Text b."})
    try:
        assert names(place_of("memory://texts"), tmp_path) == ["a.txt", "b.md"]
    finally:
        memory.rm("/texts", recursive=True)
    with pytest.raises(UnsupportedError, match="needs another library"):
        place_of("sftp://host/texts")
    with pytest.raises(DataError, match="not a place that can be opened"):
        place_of("nosuch://host/texts")


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub's library is told to stay offline in tests; here its server is on loopback."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield


@pytest.mark.usefixtures("online")
def test_a_data_set_of_the_hub_is_read_by_its_name(tmp_path: Path) -> None:
    inputs.write_parquet(tmp_path / "p", ["Parquet text."])
    root = f"/datasets/me/tides/resolve/{'c' * 40}/"
    files = {
        f"{root}README.md": b"card", f"{root}data/train-00000.parquet": (tmp_path / "p").read_bytes(),
        f"{root}data/test-00000.parquet": b"x", f"{root}old/all.jsonl": b'{"note": "n", "story": "Old text."}',
    }  # fmt: skip
    card = {
        "configs": [
            {"config_name": "new", "default": True, "data_files": [
                {"split": "train", "path": "data/train-*"}, {"split": "test", "path": ["data/test-*"]}]},
            {"config_name": "old", "data_files": "old/*.jsonl"},
        ]
    }  # fmt: skip
    for described in (card, {}):
        with serving(files, hub("me/tides", described)) as served:
            cache = tmp_path / f"cache{len(described)}"
            config = "/new" if described else ""
            train = bring(Hub(f"me/tides{config}", served.url), cache)
            assert [file.id for file in train.files] == ["data/train-00000.parquet"]
            assert names(Hub(f"me/tides{config}:test", served.url), cache) == ["data/test-00000.parquet"]
            assert names(Hub("me/tides/old", served.url), cache) == ["old/all.jsonl"]
            with pytest.raises(DataError, match=r"no split 'tset' .*did you mean 'test'"):
                bring(Hub(f"me/tides{config}:tset", served.url), cache)
            with pytest.raises(DataError, match="no configuration 'odl'"):
                bring(Hub("me/tides/odl", served.url), cache)
            with pytest.raises(DataError, match="hub:me/none: not to be had from the hub"):
                bring(Hub("me/none", served.url), cache)
        (document,) = read(open_spec(train.files[0].path))
        assert isinstance(document, Document) and document.text == "Parquet text."
    with pytest.raises(DataError, match="write hub:OWNER/NAME"):
        place_of("hub:tides")


def test_a_file_of_the_hub_with_another_digest_is_refused(tmp_path: Path, online: None) -> None:
    path = f"/datasets/me/tides/resolve/{'c' * 40}/train.parquet"
    with serving({path: b"whole"}, hub("me/tides", {})) as served:
        place = Hub("me/tides", served.url)
        listed = place.listing()
        served.files[path] = b"torn!"
        with pytest.raises(DataError, match="sha256"):
            place.get(listed[0], tmp_path / "x", SILENT)


def test_a_dump_of_wikipedia_is_checked_and_read(tmp_path: Path) -> None:
    inputs.write_mediawiki(tmp_path / "d.xml", ["The tide rises."])
    dump = bz2.compress((tmp_path / "d.xml").read_bytes())
    start, name = "/simplewiki/20260901/simplewiki-20260901", "pages-articles.xml.bz2"
    sums = f"{hashlib.sha1(dump).hexdigest()}  simplewiki-20260901-{name}\n".encode()
    with serving({f"{start}-{name}": dump, f"{start}-sha1sums.txt": sums}) as served:
        (file,) = bring(Wikipedia("simple/20260901", served.url), tmp_path).files
        assert [item.text for item in read(open_spec(file.path)) if isinstance(item, Document)] == [
            "Page 1\n\nThe tide rises."
        ]
        with pytest.raises(DataError, match="the server answers 404; check the name and the date"):
            bring(Wikipedia("simple/20260801", served.url), tmp_path)
    with pytest.raises(DataError, match="write wikipedia:LANGUAGE/DATE"):
        place_of("wikipedia:simple/latest")


def test_stated_files_of_common_crawl_are_fetched(tmp_path: Path) -> None:
    paths = [f"crawl-data/CC-MAIN-2026-08/segments/1/wet/part-{number}.warc.wet.gz" for number in range(5)]
    listed = gzip.compress("\n".join(paths).encode())
    files = {f"/{path}": path.encode() for path in paths} | {"/crawl-data/CC-MAIN-2026-08/wet.paths.gz": listed}
    with serving(files) as served:
        place = CommonCrawl("CC-MAIN-2026-08/wet:1-2", served.url)
        assert names(place, tmp_path) == ["part-1.warc.wet.gz", "part-2.warc.wet.gz"]
        assert len(served.asked) == 3
    with pytest.raises(DataError, match="write commoncrawl:"):
        place_of("commoncrawl:CC-MAIN-2026-08")


def test_pages_are_fetched_politely_and_read_as_an_archive(tmp_path: Path) -> None:
    page = inputs.html(["The tide rises and falls twice a day, because the moon draws it. " * 5]).encode()
    rules = b"User-agent: *\nDisallow: /private/\nCrawl-delay: 1\n"
    files = {"/robots.txt": rules, "/a.html": page, "/b.html": page, "/private/c.html": page}

    def moved(served: object, path: str, query: object) -> tuple[int, dict[str, str], bytes] | None:
        return (302, {"Location": "/private/c.html"}, b"") if path == "/moved" else None

    with serving(files, moved) as served, serving({"/robots.txt": b"x"}) as gone:
        urls = [*(f"{served.url}/{name}" for name in ("a.html", "b.html", "private/c.html", "moved"))]
        (tmp_path / "list.txt").write_text("# pages\n" + "\n".join([*urls, f"{gone.url}/x", f"{gone.url}/y", urls[0]]))
        gone.busy["/x"] = 1
        start = time.monotonic()
        found = bring(Crawl(tmp_path / "list.txt", delay=0.05), tmp_path / "cache")
        assert time.monotonic() - start > 3  # three requests to the first host, as it asks
        assert "/private/c.html" not in served.asked and served.asked.count("/robots.txt") == 1
        assert all(headers["user-agent"] == "groundup" for headers in served.headers)
    assert {(skip.id.removeprefix(served.url), skip.reason) for skip in found.skipped} == {
        ("/private/c.html", "robots"),
        ("/moved", "robots"),
    }
    items = read(open_spec(found.files[0].path))
    pages = sorted(item.url.removeprefix(served.url) for item in items if isinstance(item, Document))
    assert pages == ["/a.html", "/b.html"]
    assert [item.reason for item in items if isinstance(item, Unreadable)] == ["http_status", "http_status"]


def test_a_site_that_cannot_say_what_it_allows_is_left_alone(tmp_path: Path) -> None:
    with serving({"/a.html": b"page"}) as served:
        served.files["/robots.txt"] = b"x"
        served.busy["/robots.txt"] = 9
        (tmp_path / "list.txt").write_text(f"{served.url}/a.html")
        found = bring(Crawl(tmp_path / "list.txt", delay=0.0), tmp_path / "cache")
        assert [skip.reason for skip in found.skipped] == ["robots"] and "/a.html" not in served.asked


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("not a url")
    with pytest.raises(DataError, match="'not a url' is no web address"):
        place_of(f"urls:{tmp_path / 'list.txt'}")
    with pytest.raises(DataError, match="there is no such file"):
        fetch([str(tmp_path), f"urls:{tmp_path / 'none.txt'}=2"], SILENT, tmp_path)
