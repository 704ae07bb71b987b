"""What a model says of batches while nothing is learned: for probes, for references and for what is held out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from groundup.stages._work import Work

if TYPE_CHECKING:
    from groundup.models._base import Model, Scores
    from groundup.train.batch import Batch
    from groundup.train.objectives._base import Objective


def scored(work: Work, model: "Model", batch: "Batch", ask: Sequence[str] = ()) -> "Scores":
    """The scores of a batch in the run's precision, without gradients; the model's mode is left as it was."""
    import torch

    from groundup.train.precision import Precision

    training = model.training
    with torch.inference_mode(), Precision(work.recipe.precision, work.device).autocast():
        model.eval()
        here = batch.to(work.device)
        scores = model.score(
            here.tokens, here.targets, positions=here.positions, segments=here.segments, weights=here.weights, ask=ask
        )
        model.train(training)
    return scores


def measured(work: Work, model: "Model", objective: "Objective", batches: "Iterable[Batch]") -> dict[str, float]:
    """What `objective` reports of the batches, over their count: `loss` and the like. Nothing random is drawn."""
    import torch

    sums: dict[str, float] = defaultdict(float)
    count = 0.0
    for batch in batches:
        here = batch.to(work.device)
        scores = scored(work, model, here, objective.asks)
        with torch.inference_mode():
            for name, value in objective(scores, here)[1].items():
                sums[name] += float(value)
        count += batch.count
    return {name: value / max(count, 1.0) for name, value in sums.items()}
