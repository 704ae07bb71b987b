"""Published benchmarks, one small file each: how a record becomes a question, and how an answer is scored.

A model of any size can be put to them, and nothing here is trained on. Prompts and scoring are those of EleutherAI's
lm-evaluation-harness where it has the benchmark, so that the figures are the same.
"""
