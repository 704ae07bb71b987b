"""NEFTune's noise: of the paper's size, in training alone, and decided by torch's seed."""

import torch
from torch import nn

from groundup.layers.noise import add_noise


def test_noise_is_of_the_papers_size_and_only_in_training() -> None:
    table, ids = nn.Embedding(10, 16), torch.arange(8)[None]
    plain = table(ids)
    add_noise(table, 5.0)
    torch.manual_seed(1)
    shaken = table(ids) - plain
    bound = 5.0 / (8 * 16) ** 0.5
    assert shaken.abs().max() <= bound and shaken.abs().max() > 0.9 * bound
    torch.manual_seed(1)
    torch.testing.assert_close(table(ids) - plain, shaken)
    assert torch.equal(table.eval()(ids), plain)
