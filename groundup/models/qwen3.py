"""Qwen3: Llama with QK-norm, an RMSNorm on the queries and keys of each head before they are turned.

Qwen team 2025, arXiv 2505.09388; QK-norm: Dehghani et al. 2023, arXiv 2302.05442. It bounds the attention logits, so
that higher learning rates stay stable. Parameters are named as in transformers' Qwen3ForCausalLM, without `model.`.
"""

from typing import ClassVar

from groundup.models._base import Stock
from groundup.models.llama import STOCK, Llama, LlamaModel


class Qwen3(Llama):
    """A Qwen3: the fields of Llama. The default architecture."""

    def module(self, vocab_size: int) -> "Qwen3Model":
        """The model, its weights not yet set."""
        return Qwen3Model(self, vocab_size)


class Qwen3Model(LlamaModel):
    """A LlamaModel whose attention normalises queries and keys."""

    shards: ClassVar = {**LlamaModel.shards, "layers.*.self_attn.[qk]_norm": "inner"}
    exports: ClassVar = {"huggingface": "Qwen3ForCausalLM", "gguf": "qwen3", "onnx": "text-generation"}
    stock: ClassVar = Stock(
        model_type="qwen3",
        fields=STOCK.fields,
        fixed={**STOCK.fixed, "use_sliding_window": (False,), "layer_types": ("full_attention",)},
        defaults={**STOCK.defaults, "head_dim": 128, "max_position_embeddings": 32_768},
        prefix=STOCK.prefix,
        ignored=STOCK.ignored,
    )
    qk_norm: ClassVar[bool] = True
