"""Laws of every optimizer in the folder, and the arithmetic of Muon."""

import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from torch import nn

from groundup.config import Folder
from groundup.errors import StoreError
from groundup.optim._base import OptimizerConfig
from groundup.optim._optimizer import Optimizer, claim
from groundup.optim._orthogonal import orthogonal
from groundup.optim.adamw import AdamW
from groundup.optim.muon import Muon

OPTIMIZERS = Folder("optim").choices()


class Net(nn.Module):
    """A parameter of every role; two hidden matrices of one shape, one of another, and a stack of them."""

    ROLES: ClassVar = {
        "table": "embedding",
        "up.weight": "matrix",
        "again.weight": "matrix",
        "down.weight": "matrix",
        "experts": "matrix",
        "gain": "vector",
        "head.weight": "head",
    }

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.empty(11, 8))
        self.up, self.again = nn.Linear(8, 16, bias=False), nn.Linear(8, 16, bias=False)
        self.down = nn.Linear(16, 8, bias=False)
        self.experts = nn.Parameter(torch.empty(2, 8, 8))
        self.gain = nn.Parameter(torch.ones(8))
        self.head = nn.Linear(8, 11, bias=False)
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=0.3, generator=generator)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table[ids] * self.gain
        x = x + self.down(torch.relu(self.up(x)) * torch.sigmoid(self.again(x)))
        return self.head(x + x @ self.experts[0] @ self.experts[1])


def make(name: str) -> OptimizerConfig:
    return Folder("optim").find(name)()


def train(net: Net, optimizer: Optimizer, steps: int) -> list[float]:
    ids, targets = torch.arange(11), torch.arange(11).roll(3)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(ids), targets)
        loss.backward()
        optimizer.step(1.0)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nears_a_target(name: str) -> None:
    net = Net()
    losses = train(net, make(name).build(net, net.ROLES), 150)
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_run_twice_is_bitwise_equal(name: str) -> None:
    nets = [Net(), Net()]
    assert len({tuple(train(net, make(name).build(net, net.ROLES), 20)) for net in nets}) == 1
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in nets), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_resumes_to_the_bit(name: str) -> None:
    whole, first = Net(), Net()
    expected = train(whole, make(name).build(whole, whole.ROLES), 20)
    optimizer = make(name).build(first, first.ROLES)
    train(first, optimizer, 10)
    second = Net()
    second.load_state_dict(first.state_dict())
    resumed = make(name).build(second, second.ROLES)
    resumed.load_state_dict(optimizer.state_dict())
    assert train(second, resumed, 10) == expected[10:]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_moves_and_at_scale_zero_none(name: str) -> None:
    net = Net()
    optimizer = make(name).build(net, net.ROLES)
    for scale, moves in ((0.0, False), (1.0, True)):
        before = {key: value.clone() for key, value in net.state_dict().items()}
        nn.functional.cross_entropy(net(torch.arange(11)), torch.arange(11)).backward()
        optimizer.step(scale)
        assert {key: not torch.equal(value, before[key]) for key, value in net.state_dict().items()} == dict.fromkeys(
            net.ROLES, moves
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_is_claimed_once(name: str) -> None:
    net = Net()
    optimizer = make(name).build(net, net.ROLES)
    claimed = [weight for rule in optimizer.rules for weight in rule.members.values()]
    assert sorted(map(id, claimed)) == sorted(map(id, net.parameters()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_not_applied_drops_the_gradient_and_moves_nothing(name: str) -> None:
    net = Net()
    optimizer = make(name).build(net, net.ROLES)
    before = [weight.clone() for weight in net.parameters()]
    net(torch.arange(11)).sum().backward()
    optimizer.step(1.0, apply=False)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(weight.grad is None for weight in net.parameters())
    assert optimizer.state_dict() == {}


def test_a_parameter_without_a_role_is_refused() -> None:
    net = Net()
    with pytest.raises(ValueError, match=r"'up.weight' has the role None"):
        claim(net, {name: role for name, role in net.ROLES.items() if name != "up.weight"})


def test_frozen_parameters_are_left_out() -> None:
    net = Net()
    net.head.weight.requires_grad_(False)
    assert claim(net, net.ROLES)["head"] == []


def test_the_state_of_another_optimizer_is_refused() -> None:
    net = Net()
    muon = Muon().build(net, net.ROLES)
    train(net, muon, 1)
    other = nn.Linear(8, 8, bias=False)
    with pytest.raises(StoreError, match="another recipe"):
        AdamW().build(other, {"weight": "matrix"}).load_state_dict(muon.state_dict())


def test_adamw_is_the_formula_of_its_paper_and_decays_matrices_only() -> None:
    net = Net()
    config = AdamW(lr=0.01, betas=(0.9, 0.95), eps=1e-8, decay=0.5)
    optimizer = config.build(net, net.ROLES)
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    net(torch.arange(11)).square().sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in net.named_parameters()}
    optimizer.step(0.5)
    for name, weight in net.named_parameters():
        decay = config.decay if net.ROLES[name] == "matrix" else 0.0
        # After one step both running means are, bias corrected, the gradient itself.
        expected = before[name] * (1 - 0.005 * decay) - 0.005 * gradients[name] / (gradients[name].abs() + 1e-8)
        torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 64, 200), (3, 200, 64), (2, 96, 96)])
def test_singular_values_come_near_one(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    made = orthogonal(matrices)
    assert made.dtype == dtype and made.shape == shape
    values = torch.linalg.svdvals(made.float())
    assert values.max() < 1.16
    assert values.median() > 0.84
    if shape[-1] != shape[-2]:
        assert values.min() > 0.84


def test_orthogonal_keeps_the_singular_vectors() -> None:
    matrix = torch.randn(1, 48, 80, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert (orthogonal(matrix) - left @ right).norm() < 0.16 * left.norm()


def test_a_batch_is_its_members_and_a_tall_matrix_its_transpose() -> None:
    matrices = torch.randn(4, 24, 40, generator=torch.Generator().manual_seed(3))
    together = orthogonal(matrices)
    torch.testing.assert_close(together, torch.cat([orthogonal(matrix[None]) for matrix in matrices]))
    torch.testing.assert_close(together, orthogonal(matrices.mT).mT)
    assert torch.equal(orthogonal(torch.zeros(2, 8, 8)), torch.zeros(2, 8, 8))


@pytest.mark.parametrize(("rows", "columns", "reach"), [(64, 64, 1.0), (256, 64, 2.0), (64, 256, 1.0)])
@pytest.mark.parametrize("factor", [1, 4])
def test_the_size_of_a_muon_step_follows_from_the_shape_alone(
    rows: int, columns: int, reach: float, factor: int
) -> None:
    layer = nn.Linear(columns * factor, rows * factor, bias=False)
    nn.init.zeros_(layer.weight)
    layer.weight.grad = 1e-3 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(4))
    Muon(lr=0.1, iterate_in="fp32").build(layer, {"weight": "matrix"}).step(0.5)
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(0.05 * reach, rel=0.16)


def test_reading_an_optimizer_imports_no_torch() -> None:
    code = (
        "import sys; from groundup.config import Folder; [Folder('optim').find(n)() for n in Folder('optim').choices()]"
    )
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
