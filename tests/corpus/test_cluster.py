"""The engine Ray: the result of one machine, to the last byte. In a process of its own, which starts a cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

import spine
from corpus.made import build, contents, prose

BUILD = """
import sys
from pathlib import Path
from corpus.made import build
if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), engine="ray")
"""


@pytest.mark.slow
def test_ray_and_this_machine_agree(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02d}.txt").write_text(prose(number % 10), encoding="utf-8")
    (folder / "near.txt").write_text(f"{prose(4)} One more line.", encoding="utf-8")
    script = tmp_path / "ray_build.py"
    script.write_text(BUILD, encoding="utf-8")
    paths = {**spine.environment(), "PYTHONPATH": f"{spine.ROOT}:{spine.ROOT / 'tests'}"}
    subprocess.run(
        [sys.executable, str(script), str(folder), str(tmp_path / "ray")], check=True, env=paths, timeout=200
    )
    build(folder, tmp_path / "native")
    assert contents(tmp_path / "ray") == contents(tmp_path / "native")
