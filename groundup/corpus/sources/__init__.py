"""Sources: each file reads one kind of input. `_base.open_spec` turns what a user gave to `--data` into sources."""
