"""What is freed is kept for the next tensor: no new pages, which the system would have to clear."""

import ctypes
import subprocess
import sys

import pytest

from groundup.cli._work import keep_memory

SCRIPT = """
import resource, sys
from groundup.cli._work import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 23)
before = faults()
for _ in range(20):
    np.ones(1 << 23)
print(faults() - before)
"""


def faults(word: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, word], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_freed_pages_are_used_again() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("this C library has no mallopt")
    assert faults("kept") * 10 < faults("default")  # 64 MB twenty times: 16,384 pages each, or one with huge pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> object:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    keep_memory()
