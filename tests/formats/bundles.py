"""Small models of every architecture with a real tokenizer, ready to leave."""

from functools import cache

import torch

from groundup.formats._base import Bundle
from groundup.models._base import ModelConfig
from groundup.models.gpt2 import Gpt2
from groundup.models.llama import Llama
from groundup.models.moe import Moe
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.bpe import BPE

TEXT = ["How do you do? I do well, thank you. What is 17 + 25? It is 42.\ndef f(x):\n    return x + 1\n" * 30]
SMALL = {"layers": 2, "dim": 32, "heads": 4, "length": 64}
CONFIGS = (
    Gpt2.from_tree(SMALL),
    Gpt2.from_tree({**SMALL, "tied": False}),
    Llama.from_tree({**SMALL, "kv_heads": 2, "theta": 500.0}),
    Llama.from_tree({**SMALL, "tied": True, "hidden": 48, "eps": 1e-5}),
    Qwen3.from_tree(SMALL),
    Qwen3.from_tree({**SMALL, "kv_heads": 1, "head_dim": 16, "tied": True}),
)
MOE = Moe.from_tree({**SMALL, "experts": 6, "shared": 2, "scale": 1.5, "kv_heads": 2, "head_dim": 16})


@cache
def tokenizer() -> Tokenizer:
    """A vocabulary of 400 with all special tokens."""
    return BPE(vocab_size=400).train(TEXT)


def bundle(config: ModelConfig, alive: float = 0.1) -> Bundle:
    """A model whose weights all matter: nothing starts at zero."""
    model = config.build(tokenizer().vocab_size, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=alive)
    return Bundle("small", "sft", model.eval(), tokenizer(), "Made for a test.")


def label(config: ModelConfig) -> str:
    """A name for a test's parameter."""
    return f"{config.name}-{'tied' if config.tied else 'untied'}"


def trained(config: ModelConfig, steps: int = 150) -> Bundle:
    """A model that knows its text by heart, so that what it says can be read."""
    made = bundle(config, alive=0.0)
    ids = torch.tensor(tokenizer().encode(TEXT[0]))
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        starts = torch.randint(0, len(ids) - 41, (8,), generator=generator)
        rows = torch.stack([ids[start : start + 41] for start in starts.tolist()])
        optimizer.zero_grad()
        (-made.model.score(rows[:, :-1], rows[:, 1:]).logp.mean()).backward()
        optimizer.step()
    made.model.requires_grad_(False)
    return made
