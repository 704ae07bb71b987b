"""An exported folder under lm-evaluation-harness's own `hf` backend: the same figures as ours, to the digit.

`GROUNDUP_LMEVAL_HF_PYTHON` names a python with lm-eval, torch and transformers.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

import laws.test_harness as law
from formats.bundles import bundle
from groundup.eval.published import choose
from groundup.eval.scorer import ModelScorer
from groundup.formats.huggingface import Huggingface
from groundup.models.llama import Llama
from groundup.tasks.published._base import MultipleChoice
from tasks.test_published import made

PYTHON = os.environ.get("GROUNDUP_LMEVAL_HF_PYTHON", "")
TOLD = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
folder, tasks, *names = sys.argv[1:]
found = simple_evaluate(
    model="hf", model_args={"pretrained": folder, "dtype": "float32", "add_bos_token": True}, device="cpu",
    tasks=names, task_manager=TaskManager(include_path=tasks), bootstrap_iters=0, batch_size=4, log_samples=False,
)
print("\\nRESULTS", json.dumps(found["results"], default=str))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="GROUNDUP_LMEVAL_HF_PYTHON names no python with lm-eval and transformers")
def test_an_exported_folder_scores_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `add_bos_token`, for a text of ours always stands after an end of text."""
    exported = bundle(Llama(layers=2, dim=32, heads=2, length=1024, residual_init="scaled"), alive=0.5)
    (tmp_path / "model").mkdir()
    Huggingface().write(exported, tmp_path / "model")
    choices = {name: row for name, row in law.TASKS.items() if isinstance(made(name), MultipleChoice)}
    monkeypatch.setattr(law, "TASKS", choices)
    monkeypatch.setattr(law, "PYTHON", PYTHON)
    (tmp_path / "tasks").mkdir()
    names = law.write_tasks(tmp_path / "tasks", law.harness_tasks(), {})
    done = subprocess.run(
        [PYTHON, "-c", TOLD, str(tmp_path / "model"), str(tmp_path / "tasks"), *names],
        env={**law.offline(), "HF_HOME": str(tmp_path / "hub")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout.rpartition("RESULTS")[2])
    scorer = ModelScorer(exported.model, exported.tokenizer)
    for name, (_, _, measures) in choices.items():
        ours = choose(made(name).items(law.Some()), "acc", scorer).facts()["forms"]
        for measure in measures:
            assert ours[measure] == pytest.approx(float(theirs[f"ours_{name}"][f"{measure},none"]), abs=1e-9), name
