"""The model where people meet it: the terminal."""
