"""Ours in the row `train`: the trainer as `groundup run` drives it."""

from collections.abc import Iterator, Mapping
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Build the model from the given weights, and take the steps that are not counted."""
    from groundup.cli._work import begin_process

    begin_process()
    import numpy as np
    import torch
    from steps import rounds, windows

    from groundup.config import Folder
    from groundup.models._base import ModelConfig
    from groundup.optim.adamw import AdamW
    from groundup.train.batch import Batch
    from groundup.train.objectives.likelihood import Likelihood
    from groundup.train.precision import Precision
    from groundup.train.schedule import Wsd
    from groundup.train.trainer import Trainer

    class Feed:
        """The rows that all players read."""

        def __iter__(self) -> Iterator[Batch]:
            for tokens, targets in windows(settings):
                yield Batch(tokens, targets, torch.ones(tokens.shape), count=float(tokens.numel()))

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: Mapping[str, Any]) -> None:
            return None

    config = Folder("models").read(settings["model"])
    assert isinstance(config, ModelConfig)
    model = config.build(settings["vocab"])
    weights = np.load(settings["weights"])
    model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    trainer = Trainer(
        model,
        Feed(),
        Likelihood(),
        AdamW(lr=settings["lr"], decay=0.0).build(model, model.roles()),
        Wsd(10**9, 0, 0.0),
        precision=Precision(settings["precision"]),
    )
    return rounds(settings, lambda: float(trainer.step().metrics["loss"]))


if __name__ == "__main__":
    play(prepare)
