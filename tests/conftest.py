"""What every test run has: shapes checked, a fair share of the cores, no network, GPU tests that skip and say so."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

import shapes
import spine

NO_GPU = "needs a CUDA device, this machine has none"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots DIR` keeps what the browser of `serve/test_page.py` saw."""
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="keep pictures of the page's tabs in DIR")


def pytest_configure(config: pytest.Config) -> None:
    """Before the first import of torch: it reads how many threads it may use only then."""
    workers = config.getoption("numprocesses", default=None) or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(min(2, max(1, (os.cpu_count() or 1) // workers))))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    shapes.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if not needing:
        return
    import torch

    if not torch.cuda.is_available():
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the GPU tests that did not run."""
    skipped = [report.nodeid for report in terminalreporter.stats.get("skipped", []) if NO_GPU in str(report.longrepr)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} GPU tests skipped: {NO_GPU}")
        for nodeid in sorted(skipped):
            terminalreporter.write_line(nodeid)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `text`, `tiny.toml` and `runs/tiny`, a finished run. All workers share it: not to be changed."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "place"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            spine.write_bad_files(spine.write_text(folder / "text"))
            recipe = spine.write_recipe(folder)
            first = spine.groundup("run", recipe, "--data", folder / "text", "--name", "tiny", cwd=folder)
            (folder / "done").write_text(first.stdout, encoding="utf-8")
    return folder


@pytest.fixture
def own(place: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the finished run, to be changed."""
    shutil.copytree(place / "runs", tmp_path / "runs")
    return tmp_path
