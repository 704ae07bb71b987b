"""How a stage of training is made by several ranks: the model split, the rows shared, looks taken at a whole copy."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from groundup.mesh import Mesh
from groundup.stages._work import Work

if TYPE_CHECKING:
    from groundup.models._base import Model
    from groundup.parallel._base import Backward
    from groundup.parallel.settings import Parallel
    from groundup.recipe import Training
    from groundup.train.feeds._base import Feed

T = TypeVar("T")


@dataclass(frozen=True)
class Together:
    """What a trainer is given: a model that may be split, its ranks, and how they come to gradients."""

    model: "Model"
    mesh: Mesh
    backward: "Backward"
    micros: int
    """Of this rank, in one step."""
    whole: "Model"
    """The model as it was handed in; the first of several ranks keeps it as a copy to be looked at."""

    def looking(self, look: Callable[..., T]) -> Callable[..., T]:
        """A look at `whole`, brought up to date: taken by the first rank, and told to the others."""
        if self.mesh.world == 1:
            return look

        def taken(*args: Any) -> T:
            from groundup.train.checkpoint import set_weights, weights

            values = self.mesh.collect(weights(self.model))
            if self.mesh.first:
                set_weights(self.whole, values)
                return self.mesh.agree(look(*args))
            return self.mesh.agree(None)  # type: ignore[return-value]

        return taken


def together(work: Work, settings: "Training", model: "Model", feed: "Feed", micros: int) -> Together:
    """Split `model` over the ranks of `work.mesh` as its recipe says, and give each rank its rows of `feed`.

    Raises ConfigError and UnsupportedError where the layout and the model, or the rows, do not go together.
    """
    from groundup.train.trainer import backward

    wanted = work.recipe.parallel.alone() if work.alone else work.recipe.parallel
    if work.mesh.world == 1 and wanted.idle() and not wanted.auto:
        return Together(model, work.mesh, backward, micros, model)
    from groundup.parallel.layout import cut, spread

    layout, micro = _layout(work, wanted, settings, model)
    split = copy.deepcopy(model) if work.mesh.world > 1 and work.mesh.first else model
    laid = spread(split, layout, work.mesh, backward)
    if work.mesh.world > 1:
        ranks = laid.mesh.size(*laid.mesh.data_axes)
        rows, micros = cut(settings.rows, micro, ranks, layout)
        feed.share(laid.mesh.place(*laid.mesh.data_axes), ranks, rows)  # type: ignore[attr-defined]
    return Together(laid.model, laid.mesh, laid.backward, micros, model)


def _layout(work: Work, wanted: "Parallel", settings: "Training", model: "Model") -> "tuple[Parallel, int | None]":
    """The layout that is `wanted`, and the rows of a micro if it says; for `parallel=auto` what the plan chooses."""
    if not wanted.auto:
        return wanted, settings.micro_rows
    from groundup.plan.layout import SIZES, Cluster, choose

    cluster = Cluster(work.mesh.world, work.mesh.host, _memory(work), **({"rate": work.rate} if work.rate else {}))
    usual = type(wanted)()
    fixed = {name: value for name in SIZES if (value := getattr(wanted, name)) != getattr(usual, name)}
    choice = work.mesh.agree(choose(model.config, model.vocab_size, cluster, settings.rows, settings.optim.name, fixed))
    layout = wanted.model_copy(update={**{name: getattr(choice.layout, name) for name in SIZES}, "auto": False})
    work.events.notice(f"{work.name}: {choice.layout.named()}; " + "; ".join(choice.why))
    return layout, settings.micro_rows or choice.layout.rows


def _memory(work: Work) -> int:
    """Bytes that one rank may use."""
    import torch

    if work.device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available) // work.mesh.host
