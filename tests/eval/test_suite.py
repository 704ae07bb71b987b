"""The whole evaluation: facts that JSON holds, of what was asked for and no more, in the form that the report reads."""

import json
from pathlib import Path

from eval.chain import LENGTH, continuing, saying, tokenizer
from groundup.corpus.document import Document
from groundup.eval.suite import Exam, Subject, evaluate
from groundup.report.gather import gather
from groundup.report.page import page
from groundup.report.results import results, yardsticks
from groundup.store import Store
from groundup.tasks._base import Example
from groundup.tasks.arithmetic import Arithmetic
from groundup.tokenizer.special import END_OF_TEXT

DOCUMENTS = [Document(str(number), f"Calculate {number} + {number}. " * 9, "s", "p") for number in range(4)]
EXAMPLES = [Example("What is 6 + 1?", "7", "+", ("7",)), Example("What is 7 + 1?", "8", "+", ("8",))]


def subject() -> Subject:
    model = continuing("\n\tx=1", END_OF_TEXT)
    return Subject(
        model, tokenizer(), LENGTH, saying("7"), before=saying("x"), compared=frozenset({"arithmetic"}), pass_at=2
    )


def test_facts_are_what_the_report_reads(tmp_path: Path) -> None:
    asked = subject()
    facts = evaluate(
        asked,
        held_out=DOCUMENTS,
        training=["Calculate 9 + 9. " * 50],
        exams={"arithmetic": Exam(Arithmetic(), EXAMPLES), "empty": Exam(Arithmetic(), [])},
        functions=[Example("def f(x):", "    return x\n")],
        questions=["What is 1?"],
    )
    assert json.loads(json.dumps(facts)) == facts
    assert facts["bits_per_byte"]["bytes"] == sum(len(document.text) for document in DOCUMENTS)
    assert facts["yardsticks"]["ppmd_primed"] < facts["yardsticks"]["ppmd"]
    assert list(facts["tasks"]) == ["arithmetic"]
    arithmetic = facts["tasks"]["arithmetic"]
    assert (arithmetic["score"], arithmetic["before"]["score"], arithmetic["errors_cut"]["value"]) == (0.5, 0.0, 0.5)
    assert arithmetic["before"]["pass_at_2"]["value"] == 0.0
    assert "operands 0 to 99" in arithmetic["about"]
    assert facts["functions"]["n"] == 1 and facts["functions"]["real"]["value"] == 1.0
    assert [sample["score"] for sample in facts["samples"] if sample["task"] == "arithmetic"] == [1.0, 0.0]
    assert facts["conversation"][-1] == {"role": "assistant", "content": "7"}

    store = Store.create(tmp_path, "run")
    with store.publish("eval", "0", [], {}) as draft:
        draft.facts |= facts
    run = gather(store.root)
    assert [row.label for row in results(run)] == [
        "Bits per byte",
        "Arithmetic",
        "Functions that parse",
        "Functions, base model",
    ]
    assert len(yardsticks(run)) == 4
    assert "Go on with it" in page(run)


def test_what_is_not_asked_for_is_not_measured() -> None:
    facts = evaluate(subject())
    assert facts == {"tasks": {}, "samples": [], "conversation": []}
    assert "yardsticks" not in evaluate(subject(), held_out=DOCUMENTS, measure_yardsticks=False)
