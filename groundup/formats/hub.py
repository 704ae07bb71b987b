"""A model of the Hugging Face hub by its name: its config, weights and tokenizer, at one commit."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from groundup.corpus.fetch._base import Item, Place
from groundup.corpus.fetch.hub import asking, fetch
from groundup.corpus.fetch.place import bring
from groundup.errors import DataError
from groundup.events import SILENT, Bar, Reporter

KIND = "hub:"
NAME = re.compile(r"^((?:[\w.-]+/)?[\w.-]+)(?:@([\w./-]+))?$")
WEIGHTS = "model*.safetensors"
READ = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", WEIGHTS)


class HubModel(Place):
    """`OWNER/NAME[@REVISION]`, a revision being a branch, a tag or a commit. Raises DataError for another form.

    A token that `hf auth login` has left, or HF_TOKEN, opens what is not open to all; `endpoint` is another hub's URL.
    """

    def __init__(self, name: str, endpoint: str | None = None) -> None:
        match = NAME.match(name)
        if match is None:
            raise DataError(f"hub:{name}: write hub:OWNER/NAME, then @REVISION where it is wanted")
        self.repository, self._revision, self._endpoint = match.group(1), match.group(2), endpoint
        self.label, self.key = self.repository.rpartition("/")[2], f"hub-model:{name}"

    def listing(self) -> list[Item]:
        """The files that a model is read from. Raises DataError where there are none, or only pickles."""
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=self._endpoint)
        with asking(f"hub:{self.repository}"):
            commit = api.model_info(self.repository, revision=self._revision).sha
            files = [
                each for each in api.list_repo_tree(self.repository, revision=commit) if isinstance(each, RepoFile)
            ]
        wanted = [each for each in files if any(fnmatch(each.path, pattern) for pattern in READ)]
        if not any(fnmatch(each.path, WEIGHTS) for each in wanted):
            raise DataError(
                f"hub:{self.repository}: it has no {WEIGHTS}; weights in pickles (pytorch_model.bin) are not read, "
                "for they may run any program: ask for a revision that has safetensors, or save it as such"
            )
        about: dict[str, Any] = {"revision": commit, "endpoint": self._endpoint}
        return [
            Item(
                each.path,
                hf_hub_url(self.repository, each.path, **about),
                each.size or 0,
                f"sha256:{each.lfs.sha256}" if each.lfs else "",
            )
            for each in sorted(wanted, key=lambda each: each.path)
        ]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch a file, and check it against the hub's digest where it keeps one."""
        fetch(item, to, bar)


def fetch_model(
    name: str, endpoint: str | None = None, cache: Path | None = None, progress: Reporter = SILENT
) -> tuple[str, Path]:
    """The repository that `hub:OWNER/NAME[@REVISION]` names, and the folder on this machine that has its files.

    What was fetched once is not asked for again. Raises DataError for what cannot be had.
    """
    place = HubModel(name.removeprefix(KIND), endpoint)
    files = bring(place, cache, progress).files
    return place.repository, Path(files[0].path).parent
