"""Runs in an environment with TRL: `python trl_peer.py FOLDER CASE` answers with TRL's own batch, loss and gradients.

FOLDER holds `config.json` and `weights.safetensors` of a Llama, as transformers names them, and other weights for the
same shape, `reference.safetensors`. The answer is `CASE.safetensors` there: the tensors of the batch TRL made under
`batch.`, all gradients under `grad.`, and `loss`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Words of a made-up language: the ids of "w5 w7" are 5 and 7. Questions of one word and good replies of one length:
# ORPO's cross entropy is TRL's mean over all tokens, question included, and the paper's (and ours) only then.
PAIRS = [
    ("w5", "w6 w7 w8 w9", "w10 w11"),
    ("w12", "w13 w14 w15 w16", "w17 w18 w19 w20 w21"),
    ("w22", "w23 w24 w25 w26", "w27"),
]
JUDGED = [
    (prompt, reply, good) for prompt, *replies in PAIRS for reply, good in zip(replies, (True, False), strict=True)
]
SPECIAL = ("<unk>", "<pad>", "<eos>")


def tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """One word, one id."""
    words = {name: number for number, name in enumerate(SPECIAL)}
    words |= {f"w{number}": number for number in range(len(SPECIAL), vocab_size)}
    made = Tokenizer(models.WordLevel(words, unk_token=SPECIAL[0]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token=SPECIAL[0], pad_token=SPECIAL[1], eos_token=SPECIAL[2]
    )


def model(folder: Path, weights: str, kind: Any = LlamaForCausalLM) -> Any:
    """The Llama of the folder in fp32."""
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()), num_labels=1, pad_token_id=1)
    made = kind.from_config(config) if kind is AutoModelForSequenceClassification else kind(config)
    values = load_file(folder / weights)
    if kind is AutoModelForSequenceClassification:
        values = {name: value for name, value in values.items() if not name.startswith("lm_head")}
    else:
        values.pop("score.weight", None)
    made.load_state_dict(values)
    return made.float()


def settings(kind: Any, folder: Path, **fields: Any) -> Any:
    """A TRL config that trains on this CPU in fp32 and writes to no service."""
    return kind(
        output_dir=str(folder / "out"), report_to=[], use_cpu=True, bf16=False,
        per_device_train_batch_size=8, **fields,
    )  # fmt: skip


def pairs() -> Dataset:
    """The pairs as TRL reads them."""
    return Dataset.from_list([{"prompt": p, "chosen": f" {c}", "rejected": f" {r}"} for p, c, r in PAIRS])


def with_reference(case: str, folder: Path) -> Any:
    """TRL's trainers that hold a reference model."""
    policy, reference = model(folder, "weights.safetensors"), model(folder, "reference.safetensors")
    if case == "kto":
        from trl import KTOConfig, KTOTrainer

        judged = [{"prompt": p, "completion": f" {r}", "label": good} for p, r, good in JUDGED]
        args = settings(KTOConfig, folder, beta=0.3, desirable_weight=1.2, undesirable_weight=0.8)
        data = Dataset.from_list(judged)
        return KTOTrainer(policy, reference, args, train_dataset=data, processing_class=tokenizer(40))
    from trl import DPOConfig, DPOTrainer

    args = settings(DPOConfig, folder, beta=0.3, loss_type={"dpo": "sigmoid", "ipo": "ipo"}[case])
    return DPOTrainer(policy, reference, args, train_dataset=pairs(), processing_class=tokenizer(40))


def without_reference(case: str, folder: Path) -> Any:
    """TRL's trainers that hold none. `cdpo` is DPO with smoothing against a reference that says 0 of everything."""
    policy, words = model(folder, "weights.safetensors"), tokenizer(40)
    if case == "sft":
        from trl import SFTConfig, SFTTrainer

        data = Dataset.from_list([{"prompt": p, "completion": f" {c}"} for p, c, _ in PAIRS])
        return SFTTrainer(policy, settings(SFTConfig, folder), train_dataset=data, processing_class=words)
    if case == "orpo":
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        args = settings(ORPOConfig, folder, beta=0.3)
        return ORPOTrainer(policy, args, train_dataset=pairs(), processing_class=words)
    if case == "reward":
        from trl import RewardConfig, RewardTrainer

        judge = model(folder, "weights.safetensors", AutoModelForSequenceClassification)
        rows = [{"chosen": f"{p} {c}", "rejected": f"{p} {r}", "margin": 0.1 * n} for n, (p, c, r) in enumerate(PAIRS)]
        args = settings(RewardConfig, folder, center_rewards_coefficient=0.05)
        return RewardTrainer(judge, args, train_dataset=Dataset.from_list(rows), processing_class=words)
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    kind: dict[str, Any] = {
        "simpo": {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.7},
        "cdpo": {"loss_type": "sigmoid", "beta": 0.3, "label_smoothing": 0.2},
    }[case]
    args = settings(CPOConfig, folder, cpo_alpha=0.0, **kind)
    return CPOTrainer(policy, args, train_dataset=pairs(), processing_class=words)


def policy_gradient(case: str, folder: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """TRL's GRPO trainer, and roll-outs made up."""
    from trl import GRPOConfig, GRPOTrainer

    kind: dict[str, Any] = {
        "grpo": {"loss_type": "bnpo", "epsilon": 0.2, "epsilon_high": 0.28, "use_bias_correction_kl": False},
        "gspo": {"loss_type": "grpo", "epsilon": 0.05, "epsilon_high": 0.08, "importance_sampling_level": "sequence"},
    }[case]
    peer = GRPOTrainer(
        model(folder, "weights.safetensors"),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=settings(GRPOConfig, folder, num_generations=4, max_completion_length=8, **kind),
        train_dataset=Dataset.from_list([{"prompt": "w5"}] * 8),
        processing_class=tokenizer(40),
    )
    peer.current_gradient_accumulation_steps = 1
    peer.beta = 0.05 if case == "grpo" else 0.0  # set late: a reference model by name is wanted otherwise
    generator = torch.Generator().manual_seed(3)
    rollouts = {
        "prompt_ids": torch.randint(3, 40, (4, 3), generator=generator),
        "prompt_mask": torch.ones(4, 3, dtype=torch.int64),
        "completion_ids": torch.randint(3, 40, (4, 8), generator=generator),
        "completion_mask": (torch.arange(8) < torch.tensor([[8], [5], [3], [6]])).long(),
        "advantages": torch.tensor([1.0, -0.5, 0.7, -1.2]),
    }
    ids, mask = (
        torch.cat([rollouts[f"{part}_{kind}"] for part in ("prompt", "completion")], 1) for kind in ("ids", "mask")
    )
    with torch.no_grad():
        logps, *_ = peer._get_per_token_logps_and_entropies(peer.model, ids, mask, 8)
    for name, spread in (("old", 0.2), ("ref", 0.4)):
        rollouts[f"{name}_per_token_logps"] = logps + spread * torch.randn(logps.shape, generator=generator)
    return peer, rollouts


def main(folder: Path, case: str) -> None:
    """One batch, one loss, one backward pass."""
    torch.manual_seed(0)
    if case in ("grpo", "gspo"):
        peer, batch = policy_gradient(case, folder)
        loss = peer._compute_loss(peer.model, batch)
    else:
        peer = (with_reference if case in ("dpo", "ipo", "kto") else without_reference)(case, folder)
        peer.model.eval()
        batch = next(iter(peer.get_train_dataloader()))
        loss = peer.compute_loss(peer.model, batch)
    loss.backward()
    tensors = {f"batch.{name}": value for name, value in batch.items() if isinstance(value, torch.Tensor)}
    tensors |= {
        f"grad.{name}": weight.grad for name, weight in peer.model.named_parameters() if weight.grad is not None
    }
    tensors |= {"loss": loss.detach()}
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, folder / f"{case}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
