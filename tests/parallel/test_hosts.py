"""Three hosts, as network namespaces of this machine: one is lost in the middle of a run, and two go on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parallel.ranks import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2000)]
HOSTS = Path(__file__).with_name("hosts.py")


def on_three_hosts(folder: Path, scenario: str) -> dict[str, Any]:
    """What came of a run whose scenario is played to it."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs unshare and ip, of Linux")
    if subprocess.run(["unshare", "-rmn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make namespaces")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    words = ["unshare", "-rmn", sys.executable, str(HOSTS), str(folder / scenario), scenario]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Nobody is lost."""
    found = on_three_hosts(tmp_path_factory.mktemp("hosts"), "whole")
    assert found["end"]["ranks"] == 6 and found["statuses"] == [0, 0, 0]
    return found


@pytest.mark.parametrize("scenario", ["cut", "dead"])
def test_two_hosts_go_on(tmp_path: Path, whole: dict[str, Any], scenario: str) -> None:
    found = on_three_hosts(tmp_path, scenario)
    assert found["end"] is not None and found["end"]["ranks"] == 4
    lost = found["reached"] - found["resumed"][-1]
    print(f"{scenario}: {lost} steps lost")
    assert 0 <= lost <= 6
    assert found["losses"].keys() == whole["losses"].keys()
    for step, loss in whole["losses"].items():
        assert float(found["losses"][step]) == pytest.approx(float(loss), rel=1e-9)


def test_without_the_host_that_all_meet_at_the_run_ends_and_can_be_started_again(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    found = on_three_hosts(tmp_path, "first")
    assert found["end"] is None and 0 not in found["statuses"]
    kept = list((tmp_path / "first" / "kept").glob("step-*"))
    assert kept, "what was saved is there, and whoever launches it again goes on from it"
