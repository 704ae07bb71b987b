"""Numbers narrower than fp32 in the model's arithmetic, over fp32 weights; one overflow decision for all ranks."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import nn

from groundup.errors import ConfigError
from groundup.mesh import Mesh, local

Name = Literal["fp32", "bf16", "fp16"]


def repeat_to_the_bit() -> None:
    """Have this process use only operations that give the same bits each time, and refuse those that have no such form.

    On a CPU that is so already, for a fixed number of threads. cuBLAS reads `CUBLAS_WORKSPACE_CONFIG` besides, which
    the command line sets before torch is loaded.
    """
    torch.use_deterministic_algorithms(True)
    # A help in debugging, and a seventh of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


class Precision:
    """The parameters stay fp32 (they are the master weights); `autocast` narrows the forward pass.

    fp16 loses gradients below 6e-8, so its loss is multiplied by `scale`, which halves at an overflow and doubles after
    `GROWTH` steps without one (arXiv 1710.03740; the numbers are torch's GradScaler's). A step whose gradients are not
    finite is never applied, whatever the precision.
    """

    START, CEILING, GROWTH = 2.0**16, 2.0**24, 2000
    PATIENCE = 40
    """Steps in a row that may be lost: from START, fp16 has then tried every scale down to 2^-24."""

    def __init__(self, name: Name, device: torch.device | str = "cpu") -> None:
        self.name = name
        self.scale = self.START if name == "fp16" else 1.0
        self._device = torch.device(device).type
        self._good = self._lost = 0

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.name]
        return torch.autocast(self._device, dtype=dtype, enabled=self.name != "fp32")

    @torch.no_grad()
    def finish(self, model: nn.Module, clip: float | None, mesh: Mesh) -> tuple[bool, float]:
        """Unscale the gradients and hold their global norm at `clip`; whether they are finite, and the norm before.

        Raises ConfigError when so many steps in a row were lost that training cannot go on.
        """
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        norm = mesh.norm(gradients) / self.scale
        bad = not bool(norm.isfinite())
        good = not mesh.sum(int(bad), axes=mesh.data_axes)
        factor = 1.0 / self.scale
        if good and clip is not None and float(norm) > clip:
            factor *= clip / float(norm)
        if good and factor != 1.0:
            torch._foreach_mul_([local(gradient) for gradient in gradients], factor)
        self._learn(good)
        return good, float(norm)

    def state_dict(self) -> dict[str, Any]:
        """The scale and the steps since it last changed."""
        return {"scale": self.scale, "good": self._good, "lost": self._lost}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.scale, self._good, self._lost = state["scale"], state["good"], state["lost"]

    def _learn(self, good: bool) -> None:
        self._lost = 0 if good else self._lost + 1
        if self._lost >= self.PATIENCE:
            raise ConfigError(
                f"the gradients were not finite for {self._lost} steps in a row at precision={self.name!r}; "
                "lower the learning rate, or set precision='fp32'"
            )
        if self.name != "fp16":
            return
        self._good = self._good + 1 if good else 0
        if not good:
            self.scale /= 2
        elif self._good % self.GROWTH == 0:
            self.scale = min(self.scale * 2, self.CEILING)
