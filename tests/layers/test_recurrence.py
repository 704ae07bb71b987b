"""The parallel scan and the layers around it, against a loop."""

import pytest
import torch

from groundup.layers.recurrence import LSTM, MinGRU, Recurrence, linear_recurrence


@pytest.mark.parametrize("T", [1, 2, 7, 16])
def test_scan_equals_loop(T: int) -> None:
    keep, add = torch.rand(2, T, 3), torch.randn(2, T, 3)
    state, states = torch.zeros(2, 3), []
    for t in range(T):
        state = keep[:, t] * state + add[:, t]
        states.append(state)
    torch.testing.assert_close(linear_recurrence(keep, add), torch.stack(states, 1))


def test_scan_gradient() -> None:
    keep = torch.rand(1, 6, 2, dtype=torch.float64, requires_grad=True)
    add = torch.randn(1, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(linear_recurrence, (keep, add))


def test_lstm_equals_torch() -> None:
    ours, theirs = LSTM(6), torch.nn.LSTM(6, 6, batch_first=True)
    order = torch.tensor([0, 1, 3, 2])  # torch: in, forget, candidate, out; ours: in, forget, out, candidate
    with torch.no_grad():
        for mine, other in (
            (ours.input_proj.weight, theirs.weight_ih_l0),
            (ours.state_proj.weight, theirs.weight_hh_l0),
        ):
            other.copy_(mine.view(4, 6, 6)[order].view(24, 6))
        theirs.bias_ih_l0.copy_(ours.input_proj.bias.view(4, 6)[order].view(24))
        theirs.bias_hh_l0.zero_()
    x = torch.randn(2, 9, 6)
    torch.testing.assert_close(ours(x), theirs(x)[0])


@pytest.mark.parametrize("layer", [LSTM(4), MinGRU(4)], ids=["lstm", "mingru"])
def test_starts_begin_anew_and_memory_goes_on(layer: Recurrence) -> None:
    x = torch.randn(2, 8, 4)
    starts = torch.zeros(2, 8, dtype=torch.bool)
    starts[:, 5] = True
    torch.testing.assert_close(layer(x, starts), torch.cat((layer(x[:, :5]), layer(x[:, 5:])), 1))
    with torch.no_grad():
        memory = tuple(torch.zeros(2, 4) for _ in range(layer.n_states))
        parts = [layer(x[:, :3], None, memory, torch.tensor([3, 2])), layer(x[:, 3:], None, memory)]
        torch.testing.assert_close(parts[1][0], layer(x)[0, 3:])
        torch.testing.assert_close(parts[1][1], layer(torch.cat((x[:, :2], x[:, 3:]), 1))[1, 2:])
