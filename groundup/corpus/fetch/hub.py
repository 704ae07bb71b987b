"""A data set of the Hugging Face hub by its name: the files of one configuration and split, at one commit."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from groundup.corpus.fetch._base import Item, Place
from groundup.corpus.fetch.download import client, download
from groundup.errors import DataError, nearest
from groundup.events import Bar

NAME = re.compile(r"^([\w.-]+/[\w.-]+)(?:/([\w.-]+))?(?::([\w.-]+))?$")
READ = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".arrow", ".txt", ".md", ".html", ".warc", ".xml")
PACKED = (".gz", ".zst", ".bz2", ".xz")
# What is learnt from when no split is named.
SPLIT = "train"
# How splits are called in the names of files, by the hub's own convention.
SPLITS = {"train": "train", "validation": "validation|valid|dev|val", "test": "test|testing|eval|evaluation"}


class Hub(Place):
    """`OWNER/NAME[/CONFIG][:SPLIT]`, the split being `train` where there is one. Raises DataError for another form.

    A token that `hf auth login` has left, or HF_TOKEN, opens what is not open to all; `endpoint` is another hub's URL.
    """

    def __init__(self, name: str, endpoint: str | None = None) -> None:
        match = NAME.match(name)
        if match is None:
            raise DataError(f"hub:{name}: write hub:OWNER/NAME, then /CONFIG and :SPLIT where they are wanted")
        self._repository, self._config, self._split = match.group(1), match.group(2) or "", match.group(3) or ""
        self._endpoint = endpoint
        self.label, self.key = posixpath.basename(self._repository), f"hub:{name}"

    def listing(self) -> list[Item]:
        """The files of the configuration and split. Raises DataError where there is none, naming those there are."""
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=self._endpoint)
        with asking(self.key):
            described = api.dataset_info(self._repository)
            tree = list(
                api.list_repo_tree(self._repository, repo_type="dataset", recursive=True, revision=described.sha)
            )
        files = {each.path: each for each in tree if isinstance(each, RepoFile) and _is_read(each.path)}
        card: dict[str, Any] = vars(described.card_data) if described.card_data else {}
        digests = {path: f"sha256:{each.lfs.sha256}" for path, each in files.items() if each.lfs}
        return [
            Item(
                path,
                hf_hub_url(
                    self._repository, path, repo_type="dataset", revision=described.sha, endpoint=self._endpoint
                ),
                files[path].size or 0,
                digests.get(path, ""),
            )
            for path in self._chosen(sorted(files), card)
        ]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch a file from the hub, and check it against the hub's digest where it keeps one."""
        fetch(item, to, bar)

    def _chosen(self, files: list[str], card: Mapping[str, Any]) -> list[str]:
        """The files of the wanted configuration and split, by the card where it says so, else by their names."""
        groups = dict(_by_card(files, card)) or dict(_by_name(files))
        configs = sorted({config for config, _ in groups})
        config = self._config or next((name for name in ("default", *configs) if name in configs), "")
        splits = {split: names for (of, split), names in groups.items() if of == config}
        if not splits:
            raise DataError(f"{self.key}: no configuration {config!r}; {nearest(config, configs)}")
        split = self._split or (SPLIT if SPLIT in splits else "")
        if split and split not in splits:
            raise DataError(f"{self.key}: no split {split!r} in {config!r}; {nearest(split, splits)}")
        return splits[split] if split else sorted(name for names in splits.values() for name in names)


@contextmanager
def asking(name: str) -> Iterator[None]:
    """Around questions to the hub about `name`. Raises DataError where it has no answer."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        why = str(error).strip().splitlines()[0]
        raise DataError(f"{name}: not to be had from the hub: {why}; check the name, and `hf auth login`") from None


def fetch(item: Item, to: Path, bar: Bar) -> None:
    """Fetch a file of the hub, with the user's token where there is one. Raises DataError as `download`."""
    from huggingface_hub.utils._headers import build_hf_headers

    with client() as http:
        download(http, item.url, to, digest=item.digest, headers=build_hf_headers(), bar=bar)


def _by_card(files: list[str], card: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """(configuration, split) and its files, as the `configs` of the card's head say."""
    for config in card.get("configs") or []:
        given = config.get("data_files")
        rows = given if isinstance(given, list) else [given]
        for row in rows:
            split, patterns = (row.get("split", SPLIT), row.get("path")) if isinstance(row, dict) else (SPLIT, row)
            wanted = [patterns] if isinstance(patterns, str) else list(patterns or [])
            names = [name for name in files if any(fnmatch(name, pattern.replace("**", "*")) for pattern in wanted)]
            if names:
                yield (str(config.get("config_name", "default")), str(split)), names


def _by_name(files: Iterable[str]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """(configuration, split) and its files: the configuration is a folder's name, the split part of a file's."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in files:
        split = next((split for split, words in SPLITS.items() if _has_word(name, words)), SPLIT)
        folders = [part for part in name.split("/")[:-1] if part != "data" and not _has_word(part, "|".join(SPLITS))]
        groups.setdefault((folders[0] if folders else "default", split), []).append(name)
    yield from groups.items()


def _has_word(name: str, words: str) -> bool:
    return re.search(rf"(?:^|[\W_])(?:{words})(?:[\W_]|$)", name.lower()) is not None


def _is_read(path: str) -> bool:
    lower = path.lower()
    for packing in PACKED:
        lower = lower.removesuffix(packing)
    return lower.endswith(READ) and posixpath.basename(lower) != "readme.md" and not path.startswith(".")
