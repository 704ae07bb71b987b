"""A mixture of experts: Qwen3 whose perceptrons, after the first layers, are many small ones with a router.

The routing is that of DeepSeek-V3 (arXiv 2412.19437) without its groups: sigmoid scores, a shared expert, and a bias
for each expert that evens the load without a loss of its own (Wang et al. 2024, arXiv 2408.15664). A token passes
about as many weights as in a Qwen3 of the same `hidden`. Parameters are named as in transformers' Dots1ForCausalLM
(dots.llm1, arXiv 2506.05767), without `model.`; that file holds each expert apart.
"""

import math
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator

from groundup.errors import ConfigError
from groundup.layers.moe import MixtureOfExperts, Router
from groundup.models._base import Stock
from groundup.models.llama import STOCK, Llama, LlamaModel


class Moe(Llama):
    """The fields of Llama, and those of the experts."""

    experts: int = Field(8, ge=2)
    """Experts that a token may be sent to, in each layer that has them."""
    active: int = Field(2, ge=1)
    """Experts that each token passes."""
    shared: int = Field(1, ge=1)
    """Every token passes one more that is as wide as so many."""
    expert_hidden: int | None = Field(None, ge=1)
    """Width of an expert; None is `hidden / (active + shared)`, rounded up to a multiple of 32."""
    dense_layers: int = Field(1, ge=0)
    """First layers that have a plain perceptron: the load evens out slowest there (DeepSeekMoE, section 5.1)."""
    balance: float = Field(0.001, ge=0)
    """How far the bias of an expert moves after a step (the paper's best)."""
    scale: float = Field(1.0, gt=0)
    """What the chosen experts' weights add up to."""

    @model_validator(mode="after")
    def _check_experts(self) -> Self:
        if self.active > self.experts:
            raise ConfigError(f"active={self.active} of experts={self.experts}; choose no more than there are")
        return self

    def explicit(self) -> Self:
        """See `ModelConfig.explicit`."""
        wide = super().explicit()
        assert wide.hidden is not None
        width = self.expert_hidden or 32 * math.ceil(wide.hidden / (self.active + self.shared) / 32)
        return wide.model_copy(update={"expert_hidden": width})

    def module(self, vocab_size: int) -> "MoeModel":
        """The model, its weights not yet set."""
        return MoeModel(self, vocab_size)


class MoeModel(LlamaModel):
    """A LlamaModel with QK-norm, and experts in all but its first layers."""

    shards: ClassVar = {
        **LlamaModel.shards,
        "layers.*.self_attn.[qk]_norm": "inner",
        "layers.*.mlp.experts.*": "expert",
        "layers.*.mlp.shared_experts.gate_proj": "column",
        "layers.*.mlp.shared_experts.up_proj": "column",
        "layers.*.mlp.shared_experts.down_proj": "row",
    }
    exports: ClassVar = {"huggingface": "Dots1ForCausalLM", "gguf": "dots1"}
    stock: ClassVar = Stock(
        model_type="dots1",
        fields={
            **STOCK.fields,
            "n_routed_experts": "experts",
            "num_experts_per_tok": "active",
            "n_shared_experts": "shared",
            "moe_intermediate_size": "expert_hidden",
            "first_k_dense_replace": "dense_layers",
            "routed_scaling_factor": "scale",
        },
        fixed={
            "hidden_act": ("silu", "swish"),
            "attention_bias": (False,),
            "attention_dropout": (0.0,),
            "norm_topk_prob": (True,),
            "n_group": (1,),
            "topk_group": (1,),
            "sliding_window": (None,),
            "layer_types": ("full_attention",),
            "rope_parameters.rope_type": ("default",),
        },
        defaults={
            **STOCK.defaults,
            "num_key_value_heads": 32,
            "norm_topk_prob": False,
            "first_k_dense_replace": 0,
            "routed_scaling_factor": 1.0,
        },
        prefix=STOCK.prefix,
        ignored=STOCK.ignored,
        grouped=("*.experts.*_proj",),
    )
    qk_norm: ClassVar[bool] = True
    config: Moe

    def __init__(self, config: Moe, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        width = config.explicit().expert_hidden
        assert width is not None
        for block in self.layers[config.dense_layers :]:
            block.mlp = MixtureOfExperts(config.dim, width, config.experts, config.active, config.shared, config.scale)

    @property
    def routers(self) -> list[Router]:
        """Those of the layers with experts, in order."""
        return [module for module in self.modules() if isinstance(module, Router)]

    def after_step(self, mesh: Any) -> None:
        """Even the load: every router's bias moves by what all ranks together sent to each expert."""
        routers = [router for router in self.routers if router.counts is not None]
        if routers:
            counts = torch.stack([router.counts for router in routers if router.counts is not None])
            for router, own in zip(routers, mesh.sum(counts, mesh.token_axes), strict=True):
                router.balance(own, self.config.balance)

    def flops_per_token(self, length: int) -> float:
        """As of every model, of the weights that a token passes: the experts that are not chosen cost nothing."""
        every = sum(weight.numel() for name, weight in self.named_parameters() if ".experts." in name)
        return super().flops_per_token(length) - 6.0 * every * (1 - self.config.active / self.config.experts)

    def initialize(self, generator: torch.Generator) -> None:
        """As Llama; no expert is favoured."""
        super().initialize(generator)
        for router in self.routers:
            router.e_score_correction_bias.zero_()
