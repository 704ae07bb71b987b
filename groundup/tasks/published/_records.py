"""Where the records of a benchmark come from: a local folder of JSONL, or a hub of data sets."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from groundup.corpus import streams
from groundup.corpus.document import Unreadable
from groundup.errors import DataError, ResourceError, nearest

LINE_BYTES = 64 << 20
FILE_BYTES = 1 << 30
PARQUET = "refs/convert/parquet"
"""The branch in which the hub keeps every data set as Parquet, whatever its own form."""

_SPLITS = {"dev": "validation", "val": "validation", "valid": "validation"}
_SUFFIX = re.compile(r"(_(train|dev|val|valid|validation|test|prompts|questions))*")


@dataclass(frozen=True)
class Place:
    """Where a benchmark's records are: the beginning of its file's name, and its data set on the hub.

    The `configuration` "*" stands for all of them. `split` is asked; few-shot examples are drawn from `shots`, or where
    that is empty or absent from the others asked.
    """

    file: str
    repository: str
    configuration: str = "default"
    split: str = "test"
    shots: str = ""


class Record(Mapping[str, Any]):
    """One line or row, and where it is from: a field that is not there is an error that names the place."""

    def __init__(self, where: str, fields: Mapping[str, Any]) -> None:
        self.where = where
        self._fields = fields

    def __getitem__(self, field: str) -> Any:
        """A field's value. Raises DataError where there is none."""
        if field not in self._fields:
            raise DataError(f"{self.where}: there is no field {field!r}; {nearest(field, self._fields)}")
        return self._fields[field]

    def get(self, field: str, default: Any = None) -> Any:
        """A field's value, or the default where there is none."""
        return self._fields.get(field, default)

    def __contains__(self, field: object) -> bool:
        return field in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Records(Protocol):
    """A source of records."""

    def read(self, place: Place, split: str) -> list[Record]:
        """The records of a split, in their order; none where the split is not there.

        Raises DataError where the whole benchmark is not there, or a record is broken.
        """


@dataclass(frozen=True)
class LocalRecords:
    """Folders of `NAME.jsonl`, `NAME_test.jsonl` and the like, plain or compressed; a `.txt` is one record of `text`.

    The split is a record's `split`, else what the file's name ends in, else the one that is asked.
    """

    folders: tuple[Path, ...]

    def read(self, place: Place, split: str) -> list[Record]:
        """See `Records.read`. Raises DataError as it does."""
        files = self.files(place.file)
        if not files:
            listed = " and ".join(map(str, self.folders))
            raise DataError(
                f"{listed}: no {place.file}*.jsonl there; put it there, or leave the task out "
                f"(on the hub it is {place.repository})"
            )
        wanted = _canonical(split)
        return [
            record
            for path in files
            for record in _lines(path)
            if _canonical(record["split"] if "split" in record else _named_split(path) or place.split) == wanted
        ]

    def files(self, name: str) -> list[Path]:
        """The files that hold a benchmark's records. Raises DataError where a folder is not there."""
        for folder in self.folders:
            if not folder.is_dir():
                raise DataError(f"{folder}: there is no such folder; --tasks-data names one with the records")
        return [
            path
            for folder in self.folders
            for path in sorted(folder.iterdir())
            if path.name.startswith(name)
            and streams.suffix(path) in (".jsonl", ".txt")
            and _SUFFIX.fullmatch(_bare(path)[len(name) :])
        ]


@dataclass(frozen=True)
class HubRecords:
    """Data sets of a hub, in the Parquet form that it keeps of each; what was fetched is kept in `cache`.

    `endpoint` is the hub's address (None: that of the library's own settings).
    """

    endpoint: str | None = None
    cache: Path | None = None

    def read(self, place: Place, split: str) -> list[Record]:
        """See `Records.read`. Raises DataError as it does, ResourceError where the hub does not answer."""
        import pyarrow.parquet as pq
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

        api, name = HfApi(endpoint=self.endpoint), place.repository
        try:
            listed = api.list_repo_files(name, repo_type="dataset", revision=PARQUET)
            wanted = [file for file in sorted(listed) if _in_split(file, place.configuration, split)]
            paths = [
                api.hf_hub_download(name, file, repo_type="dataset", revision=PARQUET, cache_dir=self.cache)
                for file in wanted
            ]
        except (RepositoryNotFoundError, RevisionNotFoundError):
            raise DataError(
                f"{name}: the hub has no such data set as Parquet; give a folder with --tasks-data"
            ) from None
        except (HfHubHTTPError, OSError) as error:
            raise ResourceError(
                f"{name}: the hub does not answer ({type(error).__name__}); give a folder with --tasks-data"
            ) from None
        return [
            Record(f"{name}/{file}:{number}", {"configuration": file.partition("/")[0], **row})
            for file, path in zip(wanted, paths, strict=True)
            for number, row in enumerate(pq.read_table(path).to_pylist(), 1)
        ]


def _in_split(name: str, configuration: str, split: str) -> bool:
    """Is a file of the Parquet branch, `CONFIGURATION/SPLIT/0000.parquet`, of this split?"""
    parts = name.split("/")
    return len(parts) == 3 and configuration in (parts[0], "*") and parts[1] in (split, f"partial-{split}")


def _lines(path: Path) -> Iterator[Record]:
    """The records of a file. Raises DataError with the line."""
    if streams.suffix(path) == ".txt":
        data = streams.whole(path, path.name, FILE_BYTES)
        if isinstance(data, Unreadable):
            raise DataError(data.detail)
        yield Record(str(path), {"text": streams.decode(data)[0]})
        return
    for line in streams.lines(path, path.name, LINE_BYTES):
        if isinstance(line, Unreadable):
            raise DataError(line.detail)
        number, data = line
        if not data.strip():
            continue
        where = f"{path}:{number}"
        try:
            fields, _ = streams.record(data)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        if not isinstance(fields, dict):
            raise DataError(f"{where}: not an object; a record is one JSON object a line")
        yield Record(where, fields)


def _bare(path: Path) -> str:
    """A file's name without its suffixes."""
    return path.name.partition(".")[0].lower()


def _named_split(path: Path) -> str:
    """The split that a file's name ends in; "" where it names none."""
    last = _bare(path).rpartition("_")[2]
    return last if _canonical(last) in ("train", "validation", "test") else ""


def _canonical(split: str) -> str:
    return _SPLITS.get(split, split)
