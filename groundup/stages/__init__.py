"""What each stage does: a few lines that call one room each. The order and the bookkeeping are in `pipeline.py`.

Rooms are imported inside the functions, so that looking at a run loads no torch.
"""
