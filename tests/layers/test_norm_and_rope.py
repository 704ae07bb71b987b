"""Own autograd nodes against the composed formula."""

import torch

from groundup.layers.norm import RMSNorm, rms_norm
from groundup.layers.rope import rotate, rotation


def test_rms_norm_equals_torch() -> None:
    x, weight = torch.randn(2, 3, 8), torch.randn(8)
    torch.testing.assert_close(rms_norm(x, weight, 1e-5), torch.nn.functional.rms_norm(x, (8,), weight, 1e-5))


def test_rms_norm_gradient() -> None:
    x = torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: rms_norm(x, weight, 1e-5), (x, weight))


def test_rms_norm_is_the_same_without_gradients_and_of_a_transposed_view() -> None:
    norm, x = RMSNorm(8), torch.randn(2, 3, 4, 8).transpose(1, 2)
    with torch.no_grad():
        assert norm(x).equal(norm(x.contiguous()))
    assert norm(x).equal(norm(x.contiguous()))


def test_rms_norm_speaks_the_dtype_of_the_next_matmul() -> None:
    norm = RMSNorm(8)
    with torch.autocast("cpu", torch.bfloat16):
        out = norm(torch.randn(3, 8))
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert norm.weight.grad is not None and norm.weight.grad.dtype == torch.float32


def test_rotation_turns_pairs_by_their_position() -> None:
    """A pair (a, b) as the complex number a + ib is multiplied by exp(i·position·frequency)."""
    x, positions = torch.randn(2, 3, 5, 8), torch.randint(0, 100, (2, 5))
    turned = rotate(x, *rotation(positions, 8, 10_000.0))
    frequency = 10_000.0 ** (-torch.arange(4) / 4)
    angle = positions[:, None, :, None] * frequency
    expected = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angle), angle)
    torch.testing.assert_close(turned, torch.cat((expected.real, expected.imag), -1), atol=1e-5, rtol=1e-5)


def test_rotation_gradient() -> None:
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    cos, sin = (part.double() for part in rotation(torch.arange(5)[None], 4, 100.0))
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), (x,))


def test_only_distance_matters_to_turned_queries_and_keys() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    products = []
    for shift in (0, 50):
        turns = [rotation(torch.tensor([[at + shift]]), 8, 10_000.0) for at in (7, 3)]
        products.append(sum((rotate(q, *turns[0]) * rotate(k, *turns[1])).flatten()))
    torch.testing.assert_close(products[0], products[1], atol=1e-5, rtol=1e-5)
