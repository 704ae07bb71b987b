"""Peak memory of training, by formula."""

from groundup.models._base import ModelConfig

BYTES_PER_PARAMETER = {"muon": 4 + 4 + 4, "adamw": 4 + 4 + 8}
"""Weights, gradients and optimizer state in float32; Muon keeps one moment of matrices, AdamW two."""

LIBRARIES = 450_000_000
"""Resident bytes of a process that has imported torch and Arrow and read a corpus (measured)."""


def training_bytes(config: ModelConfig, vocab_size: int, rows: int, precision: str, optimizer: str) -> int:
    """Bytes that a training step of `rows` rows holds at its peak.

    Activations: about 16 values of the model's width and the T² probabilities of each layer are kept for the backward
    pass, and the probabilities over the vocabulary once.
    """
    half = 4 if precision == "fp32" else 2
    length, tokens = config.length, rows * config.length
    heads = getattr(config, "heads", 0)
    kept = tokens * config.layers * (16 * config.dim + heads * length * 5 // 8) * half
    head = min(tokens * vocab_size * half, 2**29)
    state = config.parameters_count(vocab_size) * BYTES_PER_PARAMETER.get(optimizer, 16)
    return LIBRARIES + state + int(1.2 * (kept + head))
