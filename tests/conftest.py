"""What every test run has: shapes checked, a fair share of the cores, no network, GPU tests that skip and say so."""

import os

import pytest

import shapes

NO_GPU = "needs a CUDA device, this machine has none"


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
