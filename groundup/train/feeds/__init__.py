"""Where batches come from: an endless iterator that says exactly where it stands."""
