"""Losses and all gradients are those of TRL itself, for the same weights and batch: TRL runs in its own environment."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.models._base import Model, Scores
from groundup.models._headed import Headed
from groundup.models.llama import Llama
from groundup.tokens.pack import padded
from groundup.train.batch import Batch, collate
from groundup.train.objectives._base import Objective
from groundup.train.objectives.dpo import Dpo
from groundup.train.objectives.gspo import Gspo
from groundup.train.objectives.ipo import Ipo
from groundup.train.objectives.kto import Kto
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.objectives.orpo import Orpo
from groundup.train.objectives.policy import Policy
from groundup.train.objectives.reward import Reward
from groundup.train.objectives.simpo import Simpo

V, PAD = 40, 1
CONFIG = Llama(layers=2, dim=32, heads=4, kv_heads=2, hidden=48, length=64, residual_init="scaled", std=0.3)
CASES: dict[str, Objective] = {
    "sft": Likelihood(),
    "dpo": Dpo(beta=0.3),
    "cdpo": Dpo(beta=0.3, smoothing=0.2),
    "ipo": Ipo(beta=0.3),
    "kto": Kto(beta=0.3, liked=1.2, disliked=0.8),
    "orpo": Orpo(odds=0.3),
    "simpo": Simpo(beta=2.0, gamma=0.7),
    "reward": Reward(centre=0.05),
    "grpo": Policy(clip_low=0.2, clip_high=0.28, kl=0.05),
    "gspo": Gspo(clip_low=0.05, clip_high=0.08),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random Llamas as transformers reads them: the policy, and another as its reference."""
    place = tmp_path_factory.mktemp("trl")
    described = {
        "vocab_size": V, "hidden_size": CONFIG.dim, "intermediate_size": CONFIG.hidden, "tie_word_embeddings": False,
        "num_hidden_layers": CONFIG.layers, "num_attention_heads": CONFIG.heads, "rms_norm_eps": CONFIG.eps,
        "num_key_value_heads": CONFIG.kv_heads, "rope_theta": CONFIG.theta, "max_position_embeddings": CONFIG.length,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(described), encoding="utf-8")
    for seed, name in enumerate(("weights", "reference")):
        tensors = {theirs(key): value for key, value in CONFIG.build(V, seed).state_dict().items()}
        if name == "weights":
            tensors["score.weight"] = 0.3 * torch.randn(1, CONFIG.dim, generator=torch.Generator().manual_seed(5))
        save_file(tensors, place / f"{name}.safetensors")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_trl(case: str, folder: Path, trl_python: str) -> None:
    done = subprocess.run(
        [trl_python, str(Path(__file__).with_name("trl_peer.py")), str(folder), case],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"},
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = load_file(folder / f"{case}.safetensors")
    given = {name.removeprefix("batch."): value for name, value in answer.items() if name.startswith("batch.")}
    net: Model = CONFIG.build(V, seed=0)
    batch = ours(case, given)
    if case == "reward":
        net = Headed(net)
        net.score_head.weight.data.copy_(load_file(folder / "weights.safetensors")["score.weight"])
    if case in ("dpo", "ipo", "kto"):
        with torch.no_grad():
            batch = replace(batch, ref_logp=scored(CONFIG.build(V, seed=1), batch, ()).logp)
    objective = CASES[case]
    loss = objective(scored(net, batch, objective.asks), batch)[0] / batch.count
    loss.backward()
    assert loss.item() == pytest.approx(answer["loss"].item(), rel=1e-5)
    for name, weight in net.named_parameters():
        if case != "reward" or (weight.grad is not None and name != "score_head.bias"):
            peer = answer[f"grad.{theirs(name)}"]
            assert (weight.grad - peer).norm() <= 1e-5 * peer.norm(), name


def theirs(name: str) -> str:
    """Our name of a weight as transformers has it."""
    if name == "score_head.weight":
        return "score.weight"
    name = name.removeprefix("body.")
    return name if name.startswith("lm_head") else f"model.{name}"


def scored(net: Model, batch: Batch, asks: Sequence[str]) -> Scores:
    return net.score(batch.tokens, batch.targets, positions=batch.positions, segments=batch.segments, ask=asks)


def ours(case: str, given: dict[str, Tensor]) -> Batch:
    """The batch that TRL made, as this house packs it."""
    if case in ("grpo", "gspo"):
        return rollouts(given, each_reply_the_same=case == "gspo")
    if case == "sft":
        ids, labels = given["input_ids"], given["labels"]
        return collate(
            [padded([sequence(ids[row], labels[row] != -100, ids[row] != PAD)], 32, PAD) for row in range(3)]
        )
    if case == "kto":
        good = given["label"]
        replies = [
            *sequences(given["input_ids"], given["completion_mask"], given["attention_mask"]),
            *sequences(given["KL_input_ids"], given["KL_completion_mask"], given["KL_attention_mask"]),
        ]
        whole = collate([padded(replies, 160, PAD)])
        weight = torch.zeros(1, int(whole.segments.max()) + 1)
        weight[0, : len(good)] = 2.0 * good - 1
        return replace(whole, segment_weight=weight, count=float(len(good)))
    if "chosen_labels" in given:
        sides = [
            sequences(given[f"{side}_input_ids"], given[f"{side}_labels"] != -100, given[f"{side}_attention_mask"])
            for side in ("chosen", "rejected")
        ]
    else:
        shown = given.get("completion_mask", given["attention_mask"])
        both = sequences(given["input_ids"], shown, given["attention_mask"], more=case == "reward")
        sides = [both[:3], both[3:]]
    whole = collate([padded([good, bad], 48, PAD) for good, bad in zip(*sides, strict=True)])
    weight, margin = torch.zeros(2, 3, 3).unbind()
    weight[:, 0], weight[:, 1] = 1.0, -1.0
    margin[:, 0] = given.get("margin", margin[:, 0])
    zeros = torch.zeros_like(whole.weights)
    pair = torch.zeros(3, 3, dtype=torch.int64)
    return replace(whole, segment_weight=weight, margin=margin, pair=pair, count=3.0, ref_logp=zeros)


def sequences(ids: Tensor, shown: Tensor, real: Tensor, more: bool = False) -> list:
    return [sequence(*row, more) for row in zip(ids, shown.bool(), real.bool(), strict=True)]


def sequence(ids: Tensor, shown: Tensor, real: Tensor, more: bool = False) -> tuple:
    """Ids and their weights without padding; with `more`, one more target, so that the last id is read too."""
    kept, weights = ids[real].numpy(), shown[real].float().numpy()
    if more:
        kept, weights = (torch.tensor([*row, last]).numpy() for row, last in ((kept, PAD), (weights, 0.0)))
    return kept, weights


def rollouts(given: dict[str, Tensor], each_reply_the_same: bool) -> Batch:
    """Roll-outs of a question and a reply; TRL's GSPO weighs each reply by 1 / length."""
    ids = torch.cat([given["prompt_ids"], given["completion_ids"]], 1)
    start = given["prompt_ids"].shape[1] - 1

    def spread(values: Tensor) -> Tensor:
        return torch.cat([torch.zeros(len(ids), start), values.float()], 1)

    shown = given["completion_mask"].float()
    weights = spread(shown / shown.sum(1, keepdim=True) if each_reply_the_same else shown)
    return Batch(
        tokens=ids[:, :-1],
        targets=ids[:, 1:],
        weights=weights,
        count=float(weights.sum()),
        old_logp=spread(given["old_per_token_logps"]),
        ref_logp=spread(given["ref_per_token_logps"]),
        advantage=spread(given["advantages"][:, None].expand_as(shown)),
    )
