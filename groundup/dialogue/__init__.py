"""Render, generate, read back: the one loop for chat, evaluation and roll-outs."""

from groundup.dialogue.dialogue import Dialogue, Reply

__all__ = ["Dialogue", "Reply"]
