"""What is written for each cluster: shown by --dry-run, and read by the cluster's own rules where they are at hand."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.cli import main
from groundup.errors import ConfigError
from groundup.launch._base import Job
from groundup.launch.k8s import K8s
from groundup.launch.slurm import Slurm

CRD = "GROUNDUP_JOBSET_CRD"
"""A variable that names JobSet's own file, jobset.x-k8s.io_jobsets.yaml."""


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`launch("--slurm")`: a dry run in a folder of its own, and what it prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a recipe.toml").write_text("[elastic]\nmin_hosts = 2\n", encoding="utf-8")

    def dry(*words: str, status: int = 0) -> str:
        assert main(["launch", "a recipe.toml", "--name", "big", *words, "--dry-run"]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return dry


def torchrun(text: str) -> list[str]:
    """The words of the command that a script runs."""
    (line,) = [line for line in text.splitlines() if "torch.distributed.run" in line]
    words = shlex.split(line.partition(" >> ")[0].removesuffix(" &"))
    return shlex.split(words[words.index("-c") + 1]) if "-c" in words else words


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--hosts", "a,b,c"], "hosts.sh"),
        (["--slurm", "--nodes", "3", "--option=--time=10"], "job.sbatch"),
        (["--ray", "http://h:1", "--nodes", "3"], "ray.json"),
        (["--k8s", "--nodes", "3", "--image", "i", "--claim", "c"], "jobset.json"),
    ],
)
def test_every_cluster_is_given_the_same_command(
    launch: Callable[..., str], tmp_path: Path, words: list[str], file: str
) -> None:
    shown = launch(*words, "--ranks", "4", "train.steps=9", "--data", "my texts", "--restarts", "5")
    path = tmp_path / "runs" / "big" / "launch" / file
    text = path.read_text(encoding="utf-8")
    assert text.strip() in shown and "nothing is submitted" in shown
    if file.endswith(".json"):
        tree = json.loads(text)
        text = tree["command"] if file == "ray.json" else container(tree)["command"][2]
    ran = torchrun(text)
    assert {"--nnodes=2:3", "--nproc-per-node=4", "--max-restarts=5", "--rdzv-id=groundup-big"} <= set(ran)
    after = ran[ran.index("groundup") :]
    assert after[:5] == ["groundup", "run", "a recipe.toml", "train.steps=9", "--data=my texts"]
    assert after[-3:] == ["--runs", str(tmp_path / "runs"), "--quiet"]
    if file.endswith((".sh", ".sbatch")):
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_slurm_is_asked_to_warn_and_to_queue_again(launch: Callable[..., str]) -> None:
    lines = launch("--slurm", "--nodes", "3", "--option=--time=10", "--option=--partition=gpu").splitlines()
    asked = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert {"--requeue", "--signal=B:USR1@120", "--time=10", "--partition=gpu", "--nodes=2-3"} <= set(asked)
    assert any("scontrol requeue" in line for line in lines)


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    """The one container of a JobSet."""
    job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    found: dict[str, Any] = job["template"]["spec"]["containers"][0]
    return found


def test_numbers_and_names_that_do_not_fit_are_refused(launch: Callable[..., str]) -> None:
    assert "elastic.min_hosts=2" in launch("--hosts", "a", status=2)
    assert "--k8s needs --image" in launch("--k8s", "--nodes", "2", status=2)
    with pytest.raises(ConfigError, match="shorter"):
        K8s("i", "c").manifest(Job("x" * 50, (), Path("/runs"), Path("/"), "python"))
    assert "--nodes=1\n" in Slurm().files(Job("x", (), Path("/runs"), Path("/"), "python"))["job.sbatch"]


def strict(schema: Any) -> Any:
    """A Kubernetes schema that refuses what it does not name, as `kubectl --validate=strict` does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if not key.startswith("x-kubernetes")}
    known = made.get("properties")
    if isinstance(known, dict) and made.get("type") == "object" and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


def test_a_jobset_is_one_by_its_published_schema() -> None:
    path = os.environ.get(CRD)
    if not path:
        pytest.skip(f"needs JobSet's published schema: set {CRD} to its jobset.x-k8s.io_jobsets.yaml")
    validator, yaml = pytest.importorskip("jsonschema_rs"), pytest.importorskip("yaml")
    (version,) = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["spec"]["versions"]
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    manifest = K8s("image", "claim", gpus=8).manifest(
        Job("Big_1", ("r.toml",), Path("/runs"), Path("/"), "python", 2, 8)
    )
    assert manifest["apiVersion"].endswith(f"/{version['name']}")
    validator.validate(schema, manifest)
    container(manifest)["imagge"] = "image"
    with pytest.raises(validator.ValidationError):
        validator.validate(schema, manifest)
