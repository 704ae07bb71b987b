"""Questions with a score: evaluated and trained on. One task, one file; `_mix.conversations` makes the SFT set."""
