"""The parts that architectures are built of. Shapes: B rows, T tokens, D model width, H heads, V vocabulary."""
