"""An export from start to end: written aside, read again, described, and only then shown."""

import json
import shutil
from pathlib import Path
from typing import Any

import groundup
from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.formats._base import Bundle, Format
from groundup.formats._card import card
from groundup.formats.parity import Parity

MANIFEST = "groundup.json"
"""Written with every export: which run and stage, which settings, what the check found."""


def export(format: Format, bundle: Bundle, folder: Path, progress: Reporter = SILENT) -> Parity:
    """Write, check, and only then show: `folder` appears whole or not at all, and replaces an earlier export.

    Raises DataError where `folder` holds anything else, or where the check finds a difference, and UnsupportedError for
    a model that the format has no form for.
    """
    check_target(folder)
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        with progress.task(f"writing {format.name}"):
            format.write(bundle, aside)
        parity = format.check(bundle, aside, progress)
        (aside / "README.md").write_text(card(format, bundle, parity), encoding="utf-8")
        (aside / MANIFEST).write_text(json.dumps(manifest(format, bundle, parity), indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return parity


def manifest(format: Format, bundle: Bundle, parity: Parity) -> dict[str, Any]:
    """What `groundup.json` says of an export."""
    return {
        "groundup": groundup.__version__,
        "run": bundle.name,
        "stage": bundle.stage,
        "format": format.name,
        "settings": format.tree(),
        "parameters": sum(weight.numel() for weight in bundle.model.parameters()),
        "parity": parity.facts(),
    }


def check_target(folder: Path) -> None:
    """Raises DataError where an export into `folder` would destroy what no export has written."""
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already and is no earlier export; name another folder, or remove it")
