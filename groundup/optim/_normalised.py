"""The rule inside NorMuon."""

import torch
from torch import Tensor

from groundup.errors import UnsupportedError
from groundup.optim._optimizer import Named, State
from groundup.optim._orthogonal import MuonRule

EPS = 1e-10


class NorMuonRule(MuonRule):
    """Muon's step with rows of even length, at Muon's length as a whole; the decay where it does not oppose the step.

    Orthogonal matrices have even singular values and uneven rows: neurons that move far and others that hardly move.
    """

    def __init__(
        self,
        members: Named,
        lr: float,
        momentum: float,
        nesterov: bool,
        decay: float,
        iterate_in: torch.dtype,
        beta: float,
        cautious: bool,
    ) -> None:
        super().__init__(members, lr, momentum, nesterov, 0.0 if cautious else decay, iterate_in)
        self._beta, self._cautious = beta, decay if cautious else 0.0

    def fresh(self, parameter: Tensor) -> State:
        """Muon's state, and the mean square of each row of the step `(..., rows, 1)`.

        Raises UnsupportedError for a matrix that is spread over ranks.
        """
        if hasattr(parameter, "placements"):
            raise UnsupportedError(
                "normuon measures whole rows, and these matrices are spread over ranks; set train.optim=muon"
            )
        return {**super().fresh(parameter), "square": torch.zeros_like(parameter[..., :1])}

    def refined(self, made: Tensor, parameters: list[Tensor], states: list[State], ratio: float) -> Tensor:
        """See `MuonRule.refined`. The square starts at zero and is not corrected: only its proportions matter."""
        squares = [state["square"] for state in states]
        torch._foreach_lerp_(squares, list(made.square().mean(-1, keepdim=True).unbind()), 1 - self._beta)
        length = torch.linalg.vector_norm(made, dim=(-2, -1), keepdim=True)
        made = made * (torch.stack(squares) + EPS).rsqrt()
        made *= length / (torch.linalg.vector_norm(made, dim=(-2, -1), keepdim=True) + EPS)
        if self._cautious:
            held = torch.stack(parameters)
            made += ratio * self._cautious * held * (held * made > 0)
        return made
