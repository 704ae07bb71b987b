"""The chunked head says what a plain log-softmax says, forward and backward, and holds little."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from groundup.layers import head
from groundup.layers.head import log_probs

V, D = 37, 8


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 5, D, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(0, V, (3, 5), generator=generator)


def plain(hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    logits = hidden @ weight.T
    logits = softcap * torch.tanh(logits / softcap) if softcap else logits
    logps = logits.log_softmax(-1)
    entropy = -(logps.exp() * logps).sum(-1)
    return logps.gather(-1, targets[..., None])[..., 0], logits.logsumexp(-1), entropy


@pytest.mark.parametrize("share", [0.0, 0.4, 0.95, 1.0])
def test_weights_leave_out_what_they_do_not_count(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(3, 5, generator=generator, dtype=torch.float64)
    weights *= torch.rand(3, 5, generator=generator) < share
    results = []
    for given in (weights, None):
        hidden, weight, targets = inputs()
        logp, lse, entropy = log_probs(hidden, weight, targets, entropy=True, weights=given)
        assert entropy is not None
        loss = ((logp + 0.1 * lse.square() + 0.3 * entropy) * weights).sum()
        loss.backward()
        results.append((loss, hidden.grad, weight.grad))
        if given is not None and share < 0.9:
            assert (logp[weights == 0] == 0).all()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("chunk", [1, 4 * V, 2**21])
@pytest.mark.parametrize("keep_bytes", [0, 2**29])
@pytest.mark.parametrize("softcap", [0.0, 4.0])
def test_equals_log_softmax(monkeypatch: pytest.MonkeyPatch, chunk: int, keep_bytes: int, softcap: float) -> None:
    monkeypatch.setattr(head, "CHUNK", chunk)
    monkeypatch.setattr(head, "KEEP_BYTES", keep_bytes)
    results = []
    for function in (
        lambda *x: log_probs(*x, entropy=True, softcap=softcap),
        lambda *x: plain(*x, softcap=softcap),
    ):
        hidden, weight, targets = inputs()
        out = torch.stack(list(function(hidden, weight, targets)))
        upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(2), dtype=out.dtype)
        (out * upstream).sum().backward()
        results.append((out, hidden.grad, weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_entropy_is_asked_for() -> None:
    assert log_probs(*inputs()).entropy is None


def test_only_the_part_that_needs_a_gradient_gets_one() -> None:
    hidden, weight, targets = inputs()
    log_probs(hidden, weight.detach(), targets).logp.sum().backward()
    expected = inputs()
    plain(*expected)[0].sum().backward()
    torch.testing.assert_close(hidden.grad, expected[0].grad)


def test_huge_logits_do_not_overflow() -> None:
    hidden, weight, targets = inputs(torch.float32)
    logp = log_probs(hidden * 1000, weight, targets).logp
    logp.sum().backward()
    assert logp.isfinite().all() and hidden.grad is not None and hidden.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_results_are_float32_and_gradients_keep_their_dtype(dtype: torch.dtype) -> None:
    exact = plain(*inputs(torch.float32))
    hidden, weight, targets = inputs(torch.float32)
    with torch.autocast("cpu", dtype):
        out = log_probs(hidden, weight, targets, entropy=True)
    (-out.logp.sum()).backward()
    for one, other in zip(out, exact, strict=True):
        assert one is not None and one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.02)
    assert hidden.grad is not None and weight.grad is not None
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32
    reference = inputs(torch.float32)
    (-plain(*reference)[0].sum()).backward()
    torch.testing.assert_close(weight.grad, reference[1].grad, atol=0.1, rtol=0.05)


class Largest(TorchDispatchMode):
    """Remembers the most elements that any one result had."""

    n_elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self.n_elements = max(self.n_elements, tensor.numel())
        return out


def test_never_holds_all_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "CHUNK", 2 * V)
    monkeypatch.setattr(head, "KEEP_BYTES", 0)
    hidden, weight, targets = inputs()
    with Largest() as largest:
        log_probs(hidden, weight, targets, entropy=True).logp.sum().backward()
    assert largest.n_elements == weight.numel() < targets.numel() * V
