"""Run inside `unshare -rmn`: three hosts of two ranks, each a network namespace with its own address, and one is lost.

    hosts.py FOLDER SCENARIO      whole | cut (host 2's link goes down) | dead (host 2 is killed) | first (host 0 is)

All hosts run `driven.py` under torchrun with two of them as the least. Prints, as JSON, what the first rank said at the
end, the step that was reached when the host was lost, the one that was gone on from, and how each torchrun ended.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from parallel.ranks import ROOT

HOSTS, RANKS, LEAST, PORT = 3, 2, 2, 29400
LOST_AT = 10
CONF = "last_call_timeout=4,keep_alive_interval=1,keep_alive_max_attempt=3,join_timeout=120,read_timeout=10"


def ip(*words: object) -> None:
    """The ip command. Fails where it does."""
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def build() -> None:
    """A bridge, and a namespace for each host with a cable to it."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    ip("link", "add", "br0", "type", "bridge")
    ip("link", "set", "br0", "up")
    ip("link", "set", "lo", "up")
    for host in range(HOSTS):
        ip("netns", "add", f"h{host}")
        ip("link", "add", f"cable{host}", "type", "veth", "peer", "name", "eth0", "netns", f"h{host}")
        ip("link", "set", f"cable{host}", "master", "br0", "up")
        ip("-n", f"h{host}", "addr", "add", f"10.9.0.{host + 1}/24", "dev", "eth0")
        ip("-n", f"h{host}", "link", "set", "eth0", "up")
        ip("-n", f"h{host}", "link", "set", "lo", "up")


def start(host: int, folder: Path) -> subprocess.Popen[bytes]:
    """torchrun on one host, in a process group of its own; what it says goes to a file."""
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", f"--nnodes={LEAST}:{HOSTS}", f"--nproc-per-node={RANKS}",
        "--rdzv-backend=c10d", f"--rdzv-endpoint=10.9.0.1:{PORT}", "--rdzv-id=toy", "--max-restarts=5",
        f"--rdzv-conf=is_host={int(host == 0)},{CONF}", f"--local-addr=10.9.0.{host + 1}",
        str(Path(__file__).with_name("driven.py")), str(folder / "kept"), "zero3",
    ]  # fmt: skip
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "GLOO_SOCKET_IFNAME": "eth0"}
    words = ["ip", "netns", "exec", f"h{host}", *torchrun]
    with (folder / f"host{host}.log").open("wb") as log:
        return subprocess.Popen(words, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def said(folder: Path) -> str:
    """What all hosts said so far."""
    return "".join((folder / f"host{host}.log").read_text(errors="replace") for host in range(HOSTS))


def lose(scenario: str) -> None:
    """Take a host away: its link, or all that runs on it, torchrun's ranks too, which have sessions of their own."""
    if scenario == "cut":
        ip("link", "set", "cable2", "down")
        return
    host = "h2" if scenario == "dead" else "h0"
    found = subprocess.run(["ip", "netns", "pids", host], check=True, capture_output=True, text=True)
    for pid in found.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def main(folder: Path, scenario: str) -> None:
    """See the module."""
    folder.mkdir()
    build()
    processes = [start(host, folder) for host in range(HOSTS)]
    until, lost = time.monotonic() + 600, scenario == "whole"
    reached = 0
    try:
        while time.monotonic() < until and any(process.poll() is None for process in processes):
            steps = [int(step) for step in re.findall(r"^.*step (\d+) \d", said(folder), re.MULTILINE)]
            if not lost and steps and steps[-1] >= LOST_AT:
                reached, lost = steps[-1], True
                lose(scenario)
            if '"digest"' in said(folder) and scenario in ("cut", "dead"):
                until = min(until, time.monotonic() + 20)
            time.sleep(0.1)
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    text = said(folder)
    ends = [json.loads(line[line.index("{") :]) for line in text.splitlines() if '"digest"' in line]
    resumed = [int(step) for step in re.findall(r"going on from step (\d+)", text)]
    losses: dict[int, str] = dict(re.findall(r"step (\d+) (\S+)", text))
    told: dict[str, Any] = {"end": ends[0] if ends else None, "reached": reached, "resumed": resumed, "losses": losses}
    print(json.dumps({**told, "statuses": [process.wait() for process in processes]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
