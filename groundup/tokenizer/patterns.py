"""The published rules of where a token may not cross."""

from collections.abc import Mapping
from typing import Literal

Pattern = Literal["qwen2", "gpt-2", "llama3"]

# Where a token may not cross, each in its publisher's own words: openai/gpt-2 src/encoder.py, and the tokenizer.json
# of Qwen2 and of Llama 3. They differ in digits (qwen2: one by one, llama3: up to three, gpt-2: any run), in capital
# contractions, and in whether punctuation takes the line's end along.
PATTERNS: Mapping[Pattern, str] = {
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    ),
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    ),
}
