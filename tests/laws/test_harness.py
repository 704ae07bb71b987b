"""The same items under our benchmarks and under EleutherAI's own harness, on one model: equal to the digit.

The harness runs in its own environment: `GROUNDUP_LMEVAL_PYTHON` names its python. Its tasks are its own files, pointed
at local records.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.chain import tokenizer
from groundup.config import Folder
from groundup.errors import ConfigError, DataError, ResourceError
from groundup.eval.harness import Order, run
from groundup.eval.published import choose, read
from groundup.eval.scorer import ModelScorer
from groundup.eval.written import Pen
from groundup.infer.engine import Engine
from groundup.models.llama import Llama
from groundup.tasks.published._base import MultipleChoice
from groundup.tasks.published._instructions import follows
from groundup.tasks.published._records import Place, Record
from tasks.benchmarks import PUBLISHED
from tasks.test_published import REAL, ByHand, made
from tasks.test_written import INSTRUCTIONS

PYTHON = os.environ.get("GROUNDUP_LMEVAL_PYTHON", "")
N = 40
"""Records of each benchmark."""

TASKS = {
    "arc_easy": ("arc/arc_easy.yaml", "test", ("acc", "acc_norm")),
    "blimp": ("blimp/adjunct_island.yaml", "validation", ("acc",)),
    "boolq": ("super_glue/boolq/default.yaml", "validation", ("acc",)),
    "cb": ("super_glue/cb/default.yaml", "validation", ("acc",)),
    "copa": ("super_glue/copa/default.yaml", "validation", ("acc",)),
    "rte": ("super_glue/rte/default.yaml", "validation", ("acc",)),
    "wic": ("super_glue/wic/default.yaml", "validation", ("acc",)),
    "wsc": ("super_glue/wsc/default.yaml", "validation", ("acc",)),
    "commonsenseqa": ("commonsense_qa/default.yaml", "validation", ("acc",)),
    "hellaswag": ("hellaswag/hellaswag.yaml", "validation", ("acc", "acc_norm")),
    "lambada": ("lambada/lambada_openai.yaml", "test", ("acc",)),
    "mmlu": ("mmlu/default/mmlu_abstract_algebra.yaml", "test", ("acc",)),
    "openbookqa": ("openbookqa/openbookqa.yaml", "test", ("acc", "acc_norm")),
    "piqa": ("piqa/piqa.yaml", "validation", ("acc", "acc_norm")),
    "winogrande": ("winogrande/default.yaml", "validation", ("acc",)),
    "wikitext2": ("wikitext/wikitext.yaml", "test", ("word_perplexity", "byte_perplexity", "bits_per_byte")),
}
"""Benchmark -> the harness's own file, its split, and what both measure."""

needs_harness = pytest.mark.skipif(not PYTHON, reason="GROUNDUP_LMEVAL_PYTHON names no python with lm-eval")


class Some:
    """A few records of each benchmark, in the form of its data set on the hub."""

    def read(self, place: Place, split: str) -> list[Record]:
        """See `Records.read`."""
        return [Record("here", row) for row in self.rows(place.file, split)]

    def rows(self, name: str, split: str) -> list[dict[str, Any]]:
        """Real records where they are there, else those by hand."""
        place = made(name).place
        try:
            found = [as_published(name, record) for record in REAL.read(place, split)]
        except DataError:
            found = []
        found = found or [dict(record) for record in ByHand().read(place, split)]
        if name in ("mmlu", "blimp"):
            kind = {"mmlu": ("subject", "abstract_algebra"), "blimp": ("UID", "adjunct_island")}[name]
            found = [row for row in found if row[kind[0]] == kind[1]] or found
        return found[:N]


def as_published(name: str, record: Record) -> dict[str, Any]:
    """A local record with the fields of the hub's."""
    row = dict(record)
    if isinstance(row.get("choices"), list) and "labels" in row:
        row["choices"] = {"text": row["choices"], "label": row.pop("labels")}
    if name == "openbookqa":
        row["question_stem"] = row.pop("question")
    if name == "boolq":
        row["label"] = int(row.pop("answer"))
    if name == "hellaswag":
        activity, _, scene = row["ctx"].partition(": ")
        row |= {"activity_label": activity, "ctx_a": scene, "ctx_b": "", "label": str(row["label"])}
    if name == "wikitext2":
        row = {"page": row["text"][:4000]}
    return row


def harness_tasks() -> Path:
    """Where the harness keeps its own task files."""
    script = "import lm_eval, os; print(os.path.join(os.path.dirname(lm_eval.__file__), 'tasks'))"
    return Path(subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=True).stdout.strip())


def write_tasks(folder: Path, theirs: Path, shots: Mapping[str, int]) -> list[str]:
    """Task files that take everything from the harness's own but the records."""
    names = []
    for name, (file, split, _) in TASKS.items():
        place = made(name).place
        splits = {split: Some().rows(name, place.split)}
        if shots.get(name):
            splits["dev"] = Some().rows(name, "dev")
        for each, rows in splits.items():
            (folder / f"{name}_{each}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        kept = {each: str(folder / f"{name}_{each}.jsonl") for each in splits}
        settings = {
            "include": str(theirs / file), "task": f"ours_{name}", "dataset_path": "json", "dataset_name": None,
            "dataset_kwargs": {"data_files": kept}, "training_split": None, f"{split}_split": split, "tag": None,
        }  # fmt: skip
        settings |= {"num_fewshot": shots[name]} if shots.get(name) else {"fewshot_split": None}
        if split == "test":
            settings["validation_split"] = None
        (folder / f"{name}.yaml").write_text(json.dumps(settings))  # JSON is YAML
        names.append(f"ours_{name}")
    return names


def model() -> tuple[ModelScorer, Pen]:
    """A small model with random weights, which has opinions."""
    made_ = Llama(layers=2, dim=32, heads=2, length=256, std=0.5, residual_init="scaled").build(
        tokenizer().vocab_size, seed=2
    )
    engine = Engine(made_, rows=4, table=tokenizer().token_bytes)
    return ModelScorer(made_, tokenizer()), Pen(engine, tokenizer())


def offline() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@needs_harness
@pytest.mark.slow
def test_every_figure_is_the_harness_s_own(tmp_path: Path) -> None:
    names = write_tasks(tmp_path, harness_tasks(), {"mmlu": 2})
    scorer, pen = model()
    environment = {**offline(), "HF_HOME": str(tmp_path / "hub")}
    found = run(Path(PYTHON), Order(names, [tmp_path]), scorer, pen, environment)["results"]
    for name, (_, _, measures) in TASKS.items():
        theirs = found[f"ours_{name}"]
        benchmark = made(name, **({"shots": 2} if name == "mmlu" else {}))
        items = benchmark.items(Some())
        if isinstance(benchmark, MultipleChoice):
            ours = choose(items, "acc", scorer).facts()["forms"]
        else:
            facts = read(items, scorer).facts()
            ours = {**facts, "bits_per_byte": facts["score"]}
        for measure in measures:
            assert ours[measure] == pytest.approx(theirs[f"{measure},none"], rel=1e-9), (name, measure)
        assert len(items) == min(N, len(Some().rows(name, benchmark.place.split)))


@needs_harness
@pytest.mark.slow
def test_the_harness_has_texts_written(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"q": "What", "a": "x"}\n{"q": "How", "a": "y"}\n')
    task = {
        "task": "ours_written", "dataset_path": "json", "output_type": "generate_until", "test_split": "test",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "q.jsonl")}}, "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (tmp_path / "q.yaml").write_text(json.dumps(task))
    environment = {**offline(), "HF_HOME": str(tmp_path / "hub"), "HF_EVALUATE_OFFLINE": "1"}
    order = Order(["ours_written"], [tmp_path], limit=1)
    found = run(Path(PYTHON), order, *model(), environment)
    assert found["results"]["ours_written"]["exact_match,none"] == 0.0
    assert found["n"]["ours_written"]["effective"] == 1


@needs_harness
@pytest.mark.slow
def test_what_the_harness_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"lm-eval failed: .*no_such_task"):
        run(Path(PYTHON), Order(["no_such_task"], [tmp_path]), *model(), offline())


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such python"):
        run(tmp_path / "python", Order(["piqa"]), *model(), {})


def test_the_names_here_are_benchmarks() -> None:
    assert set(TASKS) <= set(Folder("tasks.published").choices()) and set(TASKS) <= set(PUBLISHED)


CHECKED = """
import json, sys
from lm_eval.tasks.ifeval import instructions_registry
for line in sys.stdin:
    name, settings, reply = json.loads(line)
    made = instructions_registry.INSTRUCTION_DICT[name](name)
    made.build_description(**settings)
    print(int(bool(reply.strip()) and made.check_following(reply)))
"""
OWN = ("number_sentences", "capital_word_frequency", "response_language", "english_capital", "english_lowercase")
"""Kinds of instruction whose rule is ours on purpose: the published ones need tables that are not here."""


@needs_harness
@pytest.mark.slow
def test_instructions_are_judged_as_the_harness_judges_them() -> None:
    try:
        prompts = made("ifeval").items(REAL)
    except DataError:
        pytest.skip("the shared data are not here")
    replies = [reply for _, _, *pair in INSTRUCTIONS for reply in pair] + [prompt.text for prompt in prompts[:20]]
    cases = [
        (name, settings, reply)
        for prompt in prompts
        for name, settings in prompt.expected
        if name.partition(":")[2] not in OWN
        and settings.get("letter", "a").isalpha()  # for another sign the published checker draws a letter at random
        for reply in replies
    ]
    asked = "".join(json.dumps(case) + "\n" for case in cases)
    said = subprocess.run(
        [PYTHON, "-c", CHECKED], input=asked, capture_output=True, text=True, check=True, env=offline()
    )
    theirs = [line == "1" for line in said.stdout.splitlines() if line in ("0", "1")]  # nltk talks in between
    ours = [follows(*case) for case in cases]
    assert len(theirs) == len(ours) > 20_000
    assert [case for case, one, other in zip(cases, ours, theirs, strict=True) if one != other] == []
