"""Text to ids and back: `BPE(vocab_size=4096).train(texts)` learns a `Tokenizer`, `Chat` renders conversations."""

BESIDES = ("chat", "compression", "patterns", "ranks", "special")
"""Files that are no choice of a recipe (`config.Folder`); every other one is a way to learn a vocabulary."""
