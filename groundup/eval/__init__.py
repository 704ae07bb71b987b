"""How good it is: bits per byte beside real compressors, scores of tasks, and how sure each number is."""
