"""The first byte of the page, with many runs in the folder.

    python bench/first_byte.py RUN [--runs DIR] [--copies 100] [--asks 20]

Makes a folder with so many copies of RUN (hard links, beside the original), starts `groundup ui` over it, and prints
the milliseconds from a request for /ui/ to the first byte of its answer: of the first one after the server said that it
was ready, and the median and the worst of those that follow.
"""

import argparse
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit


def first_byte(address: str) -> float:
    """Milliseconds to the first byte of the page; a connection of its own, as a new browser has."""
    parts = urlsplit(address)
    began = time.perf_counter()
    http_ = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    http_.request("GET", parts.path)
    answer = http_.getresponse()
    if not answer.read(1) or answer.status != 200:
        raise SystemExit(f"{address} answered {answer.status}")
    seconds = time.perf_counter() - began
    answer.read()
    http_.close()
    return 1000 * seconds


def main() -> None:
    """Copy, start, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--asks", type=int, default=20)
    args = parser.parse_args()
    source = (args.runs / args.run).resolve()
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=".first-byte-") as folder:
        for number in range(args.copies):
            shutil.copytree(source, Path(folder) / f"{args.run}-{number:03}", copy_function=os.link)
        command = [sys.executable, "-m", "groundup", "ui", "--runs", folder, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            times = [first_byte(address) for _ in range(args.asks + 1)]
            server.terminate()
    later = times[1:]
    print(f"{args.copies} runs: first {times[0]:.0f} ms, then median {median(later):.0f} ms, worst {max(later):.0f} ms")


if __name__ == "__main__":
    main()
