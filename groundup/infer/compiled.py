"""The engine's commonest step, one more token for every live row, as programs that PyTorch's compiler makes ahead.

What an eager step loses is not in its products: hundreds of small operators each cost their launch and a trip through
memory. A program has them fused, and Python out of the way. On two cores (Zen 4) with 34 M parameters in bfloat16 a
step of one row takes 2.6 ms where the eager one takes 6.0 and the reading of the weights 2.4; of 16 rows 7.3 and 11.9.
Making the two programs takes a minute, and each holds the weights once more.
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import UnsupportedError
from groundup.events import SILENT, Reporter
from groundup.infer.few_rows import FewRows, attend_few, faster
from groundup.layers.attention import attend, attend_one
from groundup.layers.cache import Cache
from groundup.layers.packed import packable, without_onednn
from groundup.models._base import Model, alias

Memories = Sequence[tuple[Tensor, ...]]
Program = Callable[[Tensor, Tensor, Memories], Tensor]
"""Tokens `(n, 1)`, how many each row has read `(n,)` and the memory of each layer to logits `(n, V)`; the last two are
changed as by an eager step."""

OPTIONS: dict[str, Any] = {
    # A query is worked out before the loop over the keys and not once for each of them: of 16 rows 18.6 ms without.
    "realize_opcount_threshold": 4,
    "realize_reads_threshold": 4,
}
ONE_ROW: dict[str, Any] = {"cpp.weight_prepack": False}
"""A product of one row is fastest on weights as they lie (`layers/packed.py`): 3.8 ms otherwise."""
MANY_ROWS: dict[str, Any] = {"freezing": True}
"""Of more rows it is fastest on weights in the order of the processor's library, which takes them to be constants."""


class Compiled:
    """Steps of one token for the first rows of one cache. The weights are those of when it was made."""

    def __init__(self, model: Model, cache: Cache, progress: Reporter = SILENT) -> None:
        """Of a model in the precision it is to run in, its weights as they were trained: neither packed nor joined.

        Raises UnsupportedError for a model with experts or loose adapters, and on a machine without a C++ compiler.
        """
        if any(getattr(type(module), "branches", False) for module in model.modules()):
            raise UnsupportedError(
                "experts and adapters that are not merged cannot be compiled: each token has its own; do without"
            )
        self._length = cache.length
        step = _Step(model, cache.length)
        sizes = [1, cache.rows][: cache.rows]
        with progress.task("compiling", total=len(sizes), unit="programs") as bar:
            self._programs = {}
            for rows in sizes:
                self._programs[rows > 1] = _compile(step, cache.slice(0, rows))
                bar.advance(1)
        self._alone = without_onednn if model.head_weight.device.type == "cpu" else nullcontext

    def takes(self, n_keys: int) -> bool:
        """Whether the programs are for rows of which the longest looks at so many keys."""
        return 1 < n_keys < self._length

    def __call__(self, tokens: Tensor, cache: Cache, n_keys: int) -> Tensor:
        """Logits `(n, V)` after tokens `(n, 1)`, which go to the first `n` rows of the cache it was made for."""
        n = len(tokens)
        with self._alone() if n == 1 else nullcontext():
            return self._programs[n > 1](tokens, cache.lengths[:n], _seen(cache.slice(0, n), n_keys))


class _Step(nn.Module):
    """Tokens to logits, with the attention that the compiler does well."""

    def __init__(self, model: Model, length: int) -> None:
        super().__init__()
        self.model, self.length = alias(model).eval(), length
        own = packable(model.head_weight) and faster()
        if own:
            self.model.pack(FewRows)
        attending = attend_few if own else attend_one if model.head_weight.device.type == "cpu" else attend
        mixers: list[Any] = [module for module in self.model.modules() if hasattr(module, "attend")]
        for mixer in mixers:
            mixer.attend = attending

    def forward(self, tokens: Tensor, lengths: Tensor, memories: Memories) -> Tensor:
        n_keys = next((part.shape[2] for memory in memories for part in memory if part.ndim == 4), self.length)
        hidden = self.model(tokens, cache=Cache(list(memories), lengths, n_keys))
        return self.model.logits(hidden[:, -1])


def _seen(cache: Cache, n_keys: int) -> Memories:
    """Each layer's memory, of keys and values (four dimensions) the first `n_keys`."""
    return [tuple(part[:, :, :n_keys] if part.ndim == 4 else part for part in memory) for memory in cache.layers]


def _compile(step: _Step, cache: Cache) -> Program:
    """The program for one row, or for any number from two to those of the cache; for any number of keys but all."""
    from torch._inductor import aoti_compile_and_package, aoti_load_package
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler
    from torch._inductor.utils import fresh_cache
    from torch.export import Dim, export

    n_keys = max(2, cache.length // 2)
    tokens, lengths = torch.zeros_like(cache.lengths)[:, None], torch.full_like(cache.lengths, n_keys - 1)
    memories = _seen(cache, n_keys)
    some: dict[int, Any] = {0: Dim("rows", min=2, max=cache.rows)} if cache.rows > 2 else {}
    keys = Dim("keys", min=2, max=cache.length - 1)
    shapes = [tuple({**some, 2: keys} if part.ndim == 4 else some for part in memory) for memory in memories]
    options = {**OPTIONS, **(ONE_ROW if cache.rows == 1 else MANY_ROWS)}
    with tempfile.TemporaryDirectory() as folder, fresh_cache(dir=folder), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = export(step, (tokens, lengths, memories), dynamic_shapes=(some, some, shapes), strict=False)
        package = str(Path(folder) / "step.pt2")
        try:
            aoti_compile_and_package(program, package_path=package, inductor_configs=options)
        except (CppCompileError, InvalidCxxCompiler) as error:
            line = str(error).strip().splitlines()[0]
            raise UnsupportedError(
                f"compiling takes a C++ compiler, such as g++; install one, or leave out --compile ({line})"
            ) from error
        made: Program = aoti_load_package(package)
    return made
