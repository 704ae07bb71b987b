"""Looking inside, on every architecture: what is shown is what the model itself computed."""

import math

import pytest
import torch
from torch import Tensor, nn

from groundup.errors import ConfigError, UnsupportedError
from groundup.infer.inside import attention, lens, read
from groundup.layers.attention import Attention, split_heads
from groundup.models._base import Model, ModelConfig
from groundup.models.gpt2 import Gpt2, Gpt2Attention
from groundup.models.llama import Llama
from groundup.models.qwen3 import Qwen3
from groundup.models.rnn import Rnn

V, T = 50, 90  # more than one chunk of places
CONFIGS: list[ModelConfig] = [
    Gpt2(layers=2, dim=32, heads=4, length=96),
    Llama(layers=2, dim=32, heads=4, kv_heads=2, length=96, residual_init="scaled"),
    Qwen3(layers=3, dim=32, heads=2, length=96, residual_init="scaled"),
    Rnn(layers=2, dim=32, length=96),
]
IDS = torch.randint(0, V, (T,), generator=torch.Generator().manual_seed(3)).tolist()


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def model(request: pytest.FixtureRequest) -> Model:
    built: Model = request.param.model_copy(update={"std": 0.3}).build(V, seed=5).eval()
    return built


def test_surprisal_is_what_the_model_scores(model: Model) -> None:
    places = read(model, IDS, top=4)
    with torch.inference_mode():
        scores = model.score(torch.tensor([IDS[:-1]]), torch.tensor([IDS[1:]]), ask=("entropy",))
    assert scores.entropy is not None
    for place, token, logp, entropy in zip(places, IDS[1:], scores.logp[0], scores.entropy[0], strict=True):
        assert place.token == token
        assert place.surprisal == pytest.approx(-float(logp) / math.log(2), abs=1e-3)
        assert place.entropy == pytest.approx(float(entropy) / math.log(2), abs=1e-3)
        likelier = [id for id, probability in place.top if probability > math.exp(float(logp)) + 1e-6]
        assert len(likelier) == min(place.rank - 1, 4)


def test_the_last_layer_of_the_lens_says_what_the_model_says(model: Model) -> None:
    layers, places = lens(model, IDS), read(model, IDS)
    assert len(layers) == model.config.layers + 1
    for guess, place in zip(layers[-1], places, strict=True):
        assert guess.token == place.top[0][0]
        assert guess.probability == pytest.approx(place.top[0][1], abs=1e-5)
        assert guess.right == pytest.approx(2**-place.surprisal, abs=1e-5)
    assert layers[0] != layers[-1]


@torch.inference_mode()
def test_attention_maps_give_the_layer_its_output(model: Model) -> None:
    if isinstance(model.config, Rnn):
        with pytest.raises(UnsupportedError, match="remembers by a state"):
            attention(model, IDS, 0)
        return
    modules = [module for module in model.modules() if isinstance(module, Attention | Gpt2Attention)]
    for layer, module in enumerate(modules):
        maps = attention(model, IDS, layer)
        assert maps.shape == (model.config.heads, T, T)
        assert torch.equal(maps, maps.tril()) and torch.allclose(maps.sum(-1), torch.ones(maps.shape[:2]))
        x, out = watched(model, module)
        if isinstance(module, Gpt2Attention):
            values, project = module.c_attn(x).chunk(3, -1)[2], module.c_proj
        else:
            values, project = module.v_proj(x), module.o_proj
        v = split_heads(values, module.head_dim)[0]
        v = v.repeat_interleave(len(maps) // len(v), 0)
        assert torch.allclose(project((maps @ v).transpose(0, 1).flatten(1)), out[0], atol=1e-5)


def watched(model: Model, module: nn.Module) -> tuple[Tensor, Tensor]:
    """What goes into a module of the model and comes out while it reads `IDS`."""
    seen: list[tuple[Tensor, Tensor]] = []
    hook = module.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        model(torch.tensor([IDS]))
    hook.remove()
    return seen[0]


def test_nothing_is_left_on_the_model(model: Model) -> None:
    lens(model, IDS)
    assert not any(module._forward_hooks for module in model.modules())


def test_what_does_not_fit_is_told(model: Model) -> None:
    with pytest.raises(ConfigError, match="97 tokens: give from 2 to 96"):
        read(model, [1] * 97)
