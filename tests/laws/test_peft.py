"""An adapter of ours is the same adapter in PEFT, and the other way round; PEFT runs in its own environment."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.layers.lora import Lora, adapt, adapted, merge
from groundup.layers.peft import PARTS, WRAPPING, load_adapter, save_adapter
from groundup.models._base import Model
from groundup.models.llama import Llama

V = 40
CONFIG = Llama(layers=2, dim=32, heads=4, kv_heads=2, hidden=48, length=64, residual_init="scaled", std=0.3)


def logits(net: Model, tokens: Tensor) -> Tensor:
    return net.eval().logits(net(tokens))


@pytest.mark.slow
@pytest.mark.parametrize("dora", [False, True])
def test_adapters_pass_both_ways(dora: bool, tmp_path: Path, trl_python: str) -> None:
    described = {
        "vocab_size": V, "hidden_size": CONFIG.dim, "intermediate_size": CONFIG.hidden, "tie_word_embeddings": False,
        "num_hidden_layers": CONFIG.layers, "num_attention_heads": CONFIG.heads, "rms_norm_eps": CONFIG.eps,
        "num_key_value_heads": CONFIG.kv_heads, "rope_theta": CONFIG.theta, "max_position_embeddings": CONFIG.length,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    net, generator = CONFIG.build(V), torch.Generator().manual_seed(3)
    weights = {name if name.startswith("lm_head") else f"model.{name}": w for name, w in net.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    tokens = torch.randint(V, (2, 9), generator=generator)
    save_file({"tokens": tokens}, tmp_path / "tokens.safetensors")
    adapt(net, Lora(rank=4, alpha=6.0, targets=("q_proj", "down_proj"), dora=dora))
    for name, weight in net.named_parameters():
        if name.endswith(("lora_B", "magnitude")):
            weight.data.add_(0.1 * torch.randn(weight.shape, generator=generator))
    save_adapter(net, tmp_path / "ours")

    script = str(Path(__file__).with_name("peft_peer.py"))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [trl_python, script, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=230, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = load_file(tmp_path / "answer.safetensors")

    made = logits(net, tokens)
    near(made, answer["ours"])
    made.logsumexp(-1).sum().backward()
    compared = 0
    for path, module in adapted(net):
        for part, ours in PARTS.items():
            weight = getattr(module.adapters["default"], ours)
            if weight is not None:
                names = (f"grad.{WRAPPING}model.{path}.{part}", f"grad.{WRAPPING}model.{path}.{part}.weight")
                near(weight.grad, next(answer[name] for name in names if name in answer))
                compared += 1
    assert compared == 4 * (2 + dora)
    with torch.no_grad():
        near(logits(merge(net), tokens), answer["ours_merged"])
        other = CONFIG.build(V)
        assert load_adapter(other, tmp_path / "theirs").rank == 3
        near(logits(other, tokens), answer["theirs"])


def near(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()
