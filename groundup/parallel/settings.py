"""A recipe's [parallel] section: how the ranks that torchrun started share the work. Reading it needs no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from groundup.config import Config

Count = Annotated[int, Field(ge=1)]


class Parallel(Config):
    """The sizes of the axes, and what goes with them. `parallel=auto` leaves them to the program."""

    auto: bool = Field(False, description="choose the sizes that are not set, and say why")
    data: Count | None = Field(None, description="ranks with rows of their own; None: all that the other axes leave")
    zero: Literal[0, 1, 2, 3] = Field(
        1,
        description="data ranks share: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 weights too (FSDP)",
    )
    replicate: Count = Field(1, description="copies of the shares: hybrid sharding, for links of two speeds")
    tensor: Count = Field(1, description="ranks that share each matrix")
    sequence: bool | None = Field(
        None, description="tensor ranks share the tokens between matrices too; None: where the model allows it"
    )
    pipeline: Count = Field(1, description="ranks that share the layers")
    schedule: Literal["1f1b", "interleaved", "zero-bubble"] = Field(
        "1f1b", description="of a pipeline; the last two give each rank two stretches of layers"
    )
    context: Count = Field(1, description="ranks that share the tokens of a row")
    expert: Count = Field(1, description="data ranks that share the experts of a layer; a divisor of data")
    recompute: Literal["none", "selective", "full"] = Field(
        "none", description="work out activations again in the backward pass rather than keep them"
    )
    offload: bool = Field(False, description="keep the optimizer's state in the host's memory between steps")
    compile: bool = Field(False, description="compile each block (torch.compile)")

    @model_validator(mode="before")
    @classmethod
    def _by_word(cls, value: Any) -> Any:
        """`parallel=auto` is the section with `auto` set."""
        return {"auto": True} if value == "auto" else dict(value) if isinstance(value, Mapping) else value

    def alone(self) -> "Parallel":
        """What of it holds for a stage that the first rank makes alone: no sizes."""
        usual = Parallel()
        sizes = ("auto", "data", "replicate", "tensor", "pipeline", "context", "expert")
        return self.model_copy(update={name: getattr(usual, name) for name in sizes})

    def idle(self) -> bool:
        """Whether it leaves a model on one process as it is."""
        return self.recompute == "none" and not self.compile and self.ranks() == 1

    def ranks(self) -> int:
        """The fewest ranks that these sizes need."""
        return self.tensor * self.pipeline * self.context * (self.data or max(self.expert, self.replicate))
