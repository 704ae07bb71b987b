"""Plans of large runs against what others published: memory of the fullest rank, by our formula and as measured there.

    python bench/scale.py

`published.json` has torchtitan's tables. The formula is told where that program differs from ours (it gathers weights
in bf16, holds whole logits with their float32 log-softmax and both gradients, and its selective recompute keeps every
second product). Then, for 70B on 256 GPUs, Megatron's own formula for weights, gradients and optimizer (6 + 12 / data
bytes a parameter of the fullest rank, `megatron/training/theoretical_memory_usage.py`) beside ours.
"""

import json
from pathlib import Path
from typing import Any

from groundup.config import Folder
from groundup.plan.scale import Layout, Practice, dry_run, rank_bytes, sent_bytes, stages, total

PUBLISHED = Path(__file__).with_name("published.json")
TORCHTITAN = Practice(gathered=2, logit=10.0, products=0.5)


def table() -> list[dict[str, Any]]:
    """Each published row with our figure of it, in GiB."""
    told = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    found = []
    for row in told["rows"]:
        config: Any = Folder("models").read({**told["models"][row["model"]], "length": row["length"]})
        layout = Layout(**row["layout"])
        model = dry_run(config, told["vocab_size"], layout)
        ours = total(rank_bytes(model, layout, "adamw", TORCHTITAN)) / 2**30
        plain = total(rank_bytes(model, layout, "adamw")) / 2**30
        found.append({**row, "formula": ours, "ratio": ours / row["GiB"], "groundup": plain})
    return found


def megatron() -> list[tuple[str, float, float]]:
    """70B on 256 GPUs: the layout, Megatron's bytes of state on the fullest rank, and ours, in GB."""
    told = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    config: Any = Folder("models").read({**told["models"]["70B"], "length": 8192})
    found = []
    for layout in (Layout(data=8, tensor=8, pipeline=4, zero=1, accumulate=8), Layout(data=32, tensor=8, zero=1)):
        model = dry_run(config, told["vocab_size"], layout)
        fullest = max(stage.blocks + stage.ends for stage in stages(model, layout))
        parts = rank_bytes(model, layout, "adamw")
        ours = parts["weights"] + parts["gradients"] + parts["optimizer"] + parts["gathered weights"]
        found.append((layout.named(), fullest * (6 + 12 / layout.data) / 1e9, ours / 1e9))
    return found


def main() -> None:
    """Both tables, and what 70B on 256 GPUs sends."""
    print(f"{'torchtitan':<12}{'layout':<62}{'published':>10}{'formula':>9}{'ratio':>7}{'groundup':>10}   GiB")
    for row in table():
        layout = Layout(**row["layout"]).named()
        print(
            f"{row['model']:<6}table {row['table']}{layout:>62}"[:76].ljust(74)
            + f"{row['GiB']:>10.1f}{row['formula']:>9.1f}{row['ratio']:>7.2f}{row['groundup']:>10.1f}"
        )
    for layout, theirs, ours in megatron():
        print(f"Megatron 70B {layout}: {theirs:.1f} GB of state, ours {ours:.1f}, {ours / theirs:.2f}")
    told = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    config: Any = Folder("models").read({**told["models"]["70B"], "length": 8192})
    for ways in (
        {"data": 32, "tensor": 8, "rows": 16},
        {"data": 8, "tensor": 8, "pipeline": 4, "zero": 1, "accumulate": 64},
    ):
        layout = Layout(recompute="full", **ways)
        sent = sent_bytes(dry_run(config, told["vocab_size"], layout), layout)
        print(layout.named(), {axis: f"{size / 1e9:.1f} GB" for axis, size in sent.items()})


if __name__ == "__main__":
    main()
