"""What an optimizer component is. Components import no torch until they build: a recipe is read without it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from groundup.config import Component

if TYPE_CHECKING:
    from torch import nn

    from groundup.models._base import Role
    from groundup.optim._optimizer import Optimizer


class OptimizerConfig(Component):
    """The settings of an optimizer, and its maker."""

    @abstractmethod
    def build(self, model: nn.Module, roles: Mapping[str, Role]) -> Optimizer:
        """An optimizer that owns every trainable parameter of `model` once, each in the way of its role.

        `roles` is what `model.roles()` says of each parameter. Raises ValueError for one that has none (a fault of the
        model's file, not of a user's).
        """
