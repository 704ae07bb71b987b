"""What 8 and 4 bits a weight cost: held-out bits per byte against bfloat16, paired by document, and the size.

    python bench/weight_bits.py RUN [--runs DIR] [--stage pretrain] [--documents 100]

Prints a line for each kind: bits per byte, by how much more they are than bfloat16's (a share, with the 95 % interval
of the documents resampled together), the bytes of the weights as written, and what they should be by their shapes.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from groundup.cli.export import open_bundle
from groundup.eval.interval import bootstrap
from groundup.eval.likelihood import likelihood
from groundup.layers.quantize import GROUP, Kind, QuantizedLinear, quantize, stored_bytes
from groundup.models._base import Model
from groundup.plan.machine import settle
from groundup.stages.incoming import held_out_texts
from groundup.store import Store

KINDS: tuple[Kind, ...] = ("int8", "int4")


def written(model: Model) -> int:
    """Bytes of the weights: whole ones in bfloat16, the others as they are held."""
    whole = sum(value.numel() * 2 for value in model.state_dict().values() if value.dtype == torch.float32)
    return whole + sum(v.numel() * v.element_size() for v in model.state_dict().values() if v.dtype != torch.float32)


def reckoned(model: Model, kind: Kind) -> int:
    """The same by the shapes alone: 1 or 1/2 byte a weight, 2 bytes a scale, one for each output or group of inputs."""
    held = [module for module in model.modules() if isinstance(module, QuantizedLinear)]
    outs = [len(module.codes) for module in held]
    weights = sum(n_out * module.n_in for n_out, module in zip(outs, held, strict=True))
    scales = sum(
        n_out * (1 if kind == "int8" else module.n_in // GROUP) for n_out, module in zip(outs, held, strict=True)
    )
    rest = sum(weight.numel() for weight in nn.Module.parameters(model))
    rest += sum(len(module.bias) for module in held if module.bias is not None)
    return weights // (1 if kind == "int8" else 2) + 2 * scales + 2 * rest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--stage", default="pretrain")
    parser.add_argument("--documents", type=int, default=100)
    args = parser.parse_args()
    settle()
    store = Store.open(args.runs, args.run)
    bundle, texts = open_bundle(store, args.stage), held_out_texts(store)[: args.documents]
    model, learned, length = bundle.model, bundle.tokenizer, bundle.model.config.length
    base = likelihood(model, learned, texts, length, dtype=torch.bfloat16)
    print(f"{len(texts)} documents, {int(base.bytes.sum()):,} bytes; {stored_bytes(model):,} bytes of float32 weights")
    print(f"{'bf16':<5} {base.bits_per_byte} bits per byte {'':>34} {written(model):>12,} bytes")
    for kind in KINDS:
        held = quantize(model, kind)
        found = likelihood(held, learned, texts, length, dtype=torch.bfloat16)
        more = bootstrap(found.bits, base.bits)
        lost = f"{100 * (more.value - 1):+.3f} % [{100 * (more.low - 1):+.3f}, {100 * (more.high - 1):+.3f}]"
        sizes = f"{written(held):>12,} bytes, by shape {reckoned(held, kind):,}"
        print(f"{kind:<5} {found.bits_per_byte} bits per byte {lost:>34} {sizes}")


if __name__ == "__main__":
    main()
