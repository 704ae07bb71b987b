"""Each block compiled by itself (torch.compile): blocks are alike, so one compilation serves all of them."""

from groundup.parallel._base import Split, blocks


def apply(split: Split) -> None:
    """Have every block compiled when it first runs."""
    for part in split.parts:
        for block in blocks(part):
            block.compile()
