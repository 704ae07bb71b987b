"""The same weights, renamed, give the same logits in the stock classes."""

import pytest
import torch

from groundup.models._base import Model, ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.llama import Llama
from groundup.models.qwen3 import Qwen3

transformers = pytest.importorskip("transformers")
SMALL = {"layers": 2, "dim": 32, "heads": 4, "length": 24}
V = 61


def stock(config: ModelConfig, model: Model) -> torch.nn.Module:
    """transformers' own model of this shape, with default weights."""
    if isinstance(config, Gpt2):
        shape = {"n_positions": config.length, "n_embd": config.dim, "n_layer": config.layers, "n_head": config.heads}
        settings = transformers.GPT2Config(vocab_size=V, tie_word_embeddings=config.tied, **shape)
        return transformers.GPT2LMHeadModel(settings)
    assert isinstance(config, Llama)
    kind = "Qwen3" if isinstance(config, Qwen3) else "Llama"
    shape = {
        "vocab_size": V,
        "hidden_size": config.dim,
        "intermediate_size": model.layers[0].mlp.up_proj.out_features,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "head_dim": model.head_dim,
        "num_key_value_heads": config.kv_heads or config.heads,
        "max_position_embeddings": config.length,
        "rms_norm_eps": config.eps,
        "tie_word_embeddings": config.tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.theta},
    }
    return getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**shape))


def renamed(config: ModelConfig, model: Model) -> dict[str, torch.Tensor]:
    """The weights under their names there; GPT-2's Conv1D holds its matrices the other way round."""
    weights = {}
    prefix = "transformer." if isinstance(config, Gpt2) else "model."
    for name, weight in model.state_dict().items():
        turned = isinstance(config, Gpt2) and name.startswith("h.") and weight.ndim == 2
        weights[name if name.startswith("lm_head") else prefix + name] = weight.t() if turned else weight
    return weights


@pytest.mark.parametrize(
    "config",
    [
        Gpt2(**SMALL),
        Gpt2(**SMALL, tied=False),
        Llama(**SMALL, kv_heads=2),
        Llama(**SMALL, tied=True, theta=500.0),
        Qwen3(**SMALL),
        Qwen3(**SMALL, kv_heads=1, head_dim=16, tied=True),
    ],
    ids=lambda config: f"{config.name}-{'tied' if config.tied else 'untied'}",
)
def test_logits_agree(config: ModelConfig) -> None:
    model = config.build(V, seed=1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    other = stock(config, model).eval()
    assert type(other).__name__ == model.exports["huggingface"]
    result = other.load_state_dict(renamed(config, model), strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) <= ({"lm_head.weight"} if config.tied else set())
    tokens = torch.randint(0, V, (2, 24))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model(tokens)), other(tokens).logits, atol=1e-4, rtol=1e-4)
