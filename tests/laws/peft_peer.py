"""Runs in an environment with PEFT: `python peft_peer.py FOLDER` reads our adapter there, and leaves one of its own.

FOLDER holds `config.json` and `weights.safetensors` of a Llama as transformers names them, our adapter in `ours/`, and
`tokens.safetensors`. The answer is PEFT's adapter in `theirs/`, and `answer.safetensors`: the logits with our adapter,
before and after PEFT merges it (`ours`, `ours_merged`), the gradients of its parts (`grad.`), and those of `theirs`.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM


def base(folder: Path) -> LlamaForCausalLM:
    """The Llama of the folder in fp32."""
    made = LlamaForCausalLM(LlamaConfig(**json.loads((folder / "config.json").read_text())))
    made.load_state_dict(load_file(folder / "weights.safetensors"))
    return made.float().eval()


def main(folder: Path) -> None:
    """Both directions."""
    tokens = load_file(folder / "tokens.safetensors")["tokens"]
    net = PeftModel.from_pretrained(base(folder), folder / "ours", is_trainable=True).eval()
    logits = net(tokens).logits
    logits.logsumexp(-1).sum().backward()
    answer = {
        f"grad.{name.replace('.default', '')}": w.grad for name, w in net.named_parameters() if w.grad is not None
    }
    answer["ours"] = logits.detach()
    with torch.no_grad():
        answer["ours_merged"] = net.merge_and_unload()(tokens).logits
        dora = json.loads((folder / "ours" / "adapter_config.json").read_text())["use_dora"]
        shape = LoraConfig(
            r=3, lora_alpha=5, target_modules=["v_proj", "up_proj"], use_dora=dora, task_type="CAUSAL_LM"
        )
        theirs = get_peft_model(base(folder), shape).eval()
        torch.manual_seed(7)
        for name, weight in theirs.named_parameters():
            if "lora_B" in name or "magnitude" in name:
                weight.add_(0.1 * torch.randn_like(weight))
        answer["theirs"] = theirs(tokens).logits
    theirs.save_pretrained(folder / "theirs")
    save_file({name: value.contiguous().clone() for name, value in answer.items()}, folder / "answer.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
