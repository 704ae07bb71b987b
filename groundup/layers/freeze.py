"""Which parameters train, chosen by name."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from groundup.errors import ConfigError, nearest


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that some pattern covers: the whole name, or its end after a dot; `*` stands for anything.

    >>> matching(["layers.0.mlp.up_proj", "layers.1.mlp.up_proj", "norm"], ["up_proj", "n*m"])
    ['layers.0.mlp.up_proj', 'layers.1.mlp.up_proj', 'norm']

    Raises ConfigError for a pattern that covers none.
    """
    found: set[str] = set()
    for pattern in patterns:
        covered = {name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")}
        if not covered:
            last = sorted({name.rpartition(".")[2] for name in names})
            raise ConfigError(f"no name matches {pattern!r}; {nearest(pattern, last)}")
        found |= covered
    return [name for name in names if name in found]


def freeze(model: nn.Module, patterns: Sequence[str]) -> int:
    """Stop the training of the parameters that the patterns cover; the number of weights that are frozen by them.

    A pattern may name a module: all below it is meant. Raises ConfigError for one that covers none.
    """
    parameters = dict(model.named_parameters())
    above = {name: [name[:place] for place, letter in enumerate(name) if letter == "."] for name in parameters}
    names = sorted({*parameters, *(module for modules in above.values() for module in modules)})
    chosen = set(matching(names, patterns))
    frozen = [name for name in parameters if name in chosen or chosen.intersection(above[name])]
    for name in frozen:
        parameters[name].requires_grad_(False)
    return sum(parameters[name].numel() for name in frozen)
