"""Real clusters, started here for one test each: sshd on loopback, Slurm on one machine, a local Ray.

Each ends with the weights of a run that was started by hand, to the last bit.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import spine
from groundup.launch._base import Job, Launcher, write
from groundup.launch.hosts import Hosts
from groundup.launch.ray import Ray
from groundup.launch.slurm import Slurm
from groundup.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

RAY = "GROUNDUP_RAY"
SLURM_CONF = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
JobRequeue=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    """Until it is so. Fails the test after `seconds`."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"waited {seconds:.0f} s"
        time.sleep(0.2)


@contextmanager
def daemon(*words: str | Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the foreground that is ended with the test."""
    with subprocess.Popen([*map(str, words)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def job(place: Path, tmp_path: Path) -> Job:
    """The tiny recipe as a job of one host and one rank."""
    (tmp_path / "work").mkdir()
    words = (str(place / "tiny.toml"), "--data", str(place / "text"))
    return Job(
        "tiny", words, tmp_path / "runs", tmp_path / "work", sys.executable, port=free_port(), modules=str(spine.ROOT)
    )


def begun(job: Job) -> bool:
    """Is a stage of training at work?"""
    return any((job.runs / job.name / "artifacts").glob(".draft-pretrain-*"))


def done(job: Job) -> bool:
    """Are all stages made?"""
    run = job.runs / job.name
    return run.exists() and "report" in Store(run).current()


def submitted(launcher: Launcher, job: Job) -> str:
    """Hand the job over, as the command does."""
    write(launcher, job)
    return launcher.submit(job)


def test_ssh_to_loopback(job: Job, place: Path, tmp_path: Path) -> None:
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd or not shutil.which("ssh-keygen"):
        pytest.skip("needs OpenSSH's server")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        f"StrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile {tmp_path}/sshd.pid\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    options = ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={tmp_path}/known", "-i", str(tmp_path / "user")]
    launcher = Hosts((f"{getpass.getuser()}@127.0.0.1",), ("ssh", "-F", "none", *options, "-p", str(port)))
    with daemon(sshd, "-D", "-f", config):
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 20)
        assert "127.0.0.1: started" in submitted(launcher, job)
        assert "127.0.0.1: runs already" in submitted(launcher, job)
        wait_for(lambda: begun(job) or done(job), 300)
        first = (job.place / "host-0.pid").read_text()
        subprocess.run(["bash", str(job.place / "hosts.sh"), "0", "stop"], check=True)
        wait_for(
            lambda: subprocess.run(["ps", "-p", first.strip()], capture_output=True, check=False).returncode != 0, 90
        )
        assert "127.0.0.1: started" in submitted(launcher, job)
        wait_for(lambda: done(job), 600)
    assert spine.weights_of(job.runs / "tiny") == spine.weights_of(place / "runs" / "tiny")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm on this machine, with a munge of its own; the folder of its logs."""
    names = ("munged", "slurmctld", "slurmd")
    found = [shutil.which(name, path="/usr/sbin:/usr/bin") for name in names]
    if not all(found) or os.getuid() != 0:
        pytest.skip("needs munge, slurmctld and slurmd, and root")
    munged, slurmctld, slurmd = [str(path) for path in found]
    folder = tmp_path / "slurm"
    (folder / "state").mkdir(parents=True)
    (folder / "spool").mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    values = {"host": socket.gethostname(), "port": free_port(), "slurmd": free_port(), "cpus": os.cpu_count()}
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder, user=getpass.getuser(), **values))
    (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    with ExitStack() as stack:
        paths = [
            f"--{what}={folder}/munge.{what.partition('-')[0]}"
            for what in ("socket", "pid-file", "log-file", "seed-file")
        ]
        stack.enter_context(daemon(munged, "--foreground", "--force", f"--key-file={folder}/key", *paths))
        wait_for(lambda: (folder / "munge.socket").exists(), 20)
        stack.enter_context(daemon(slurmctld, "-D"))
        stack.enter_context(daemon(slurmd, "-D"))
        state = ["sinfo", "--noheader", "--format=%T"]
        wait_for(lambda: "idle" in subprocess.run(state, capture_output=True, text=True, check=False).stdout, 90)
        yield folder


def test_slurm_runs_warns_and_queues_again(job: Job, place: Path, slurm: Path) -> None:
    launcher = Slurm(("--time=60",))
    said = submitted(launcher, job)
    number = said.split()[1]
    assert "is there already" in submitted(launcher, job)
    wait_for(lambda: begun(job) or done(job), 300)
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True)
    log = job.place / "slurm.log"

    def restarted() -> bool:
        shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True).stdout
        return "Restarts=1" in shown

    wait_for(restarted, 120)
    time.sleep(3)  # Slurm revokes the credentials of what was cancelled by the second, and would kill the new attempt
    subprocess.run(["scontrol", "release", number], capture_output=True, check=False)
    subprocess.run(["scontrol", "update", f"jobid={number}", "starttime=now"], capture_output=True, check=False)
    wait_for(lambda: done(job), 600)
    assert "nothing is lost" in log.read_text()
    assert spine.weights_of(job.runs / "tiny") == spine.weights_of(place / "runs" / "tiny")


def test_a_local_ray_cluster(job: Job, place: Path, tmp_path: Path) -> None:
    ray = os.environ.get(RAY) or shutil.which("ray")
    if not ray:
        pytest.skip(f"needs Ray: set {RAY} to its command")
    port, dashboard = free_port(), free_port()
    path = f"{Path(ray).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PYTHONPATH": str(spine.ROOT), "PATH": path, "RAY_AUTH_MODE": "disabled"}
    start = [ray, "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}", "--num-cpus=2", "--block"]
    launcher = Ray(f"http://127.0.0.1:{dashboard}", ray=ray)
    with daemon(*start, "--disable-usage-stats", env=env):
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", dashboard)) == 0, 120)
        assert "is submitted" in submitted(launcher, job)
        assert "already" in submitted(launcher, job)
        wait_for(lambda: done(job), 600)
    assert spine.weights_of(job.runs / "tiny") == spine.weights_of(place / "runs" / "tiny")
