"""The divergence and its gradient are those of the formula with both distributions written out."""

import pytest
import torch

from groundup.errors import ConfigError
from groundup.layers import divergence as module
from groundup.layers.divergence import divergence
from groundup.models._taught import Taught
from groundup.models.qwen3 import Qwen3
from groundup.train.objectives.distill import Distill
from groundup.train.schedule import Wsd
from train import toy


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunk", [1, 2**21])
def test_value_and_gradients_are_those_of_the_formula(
    reverse: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    torch.manual_seed(0)
    hidden, weight = torch.randn(2, 5, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    other, other_weight = torch.randn(2, 5, 6), torch.randn(11, 6)
    found = divergence(hidden, weight, other, other_weight, reverse)
    ours, theirs = (hidden @ weight.T).log_softmax(-1), (other @ other_weight.T).log_softmax(-1)
    plain = (ours.exp() * (ours - theirs)).sum(-1) if reverse else (theirs.exp() * (theirs - ours)).sum(-1)
    torch.testing.assert_close(found, plain)
    towards = torch.randn(2, 5)
    got, wanted = (torch.autograd.grad((each * towards).sum(), (hidden, weight)) for each in (found, plain))
    torch.testing.assert_close(got, wanted)


def test_a_student_nears_its_teacher_which_stays_as_it_is() -> None:
    teacher, student = toy.model(seed=1), toy.model(seed=2)
    before = [weight.clone() for weight in teacher.parameters()]
    net = Taught(student, teacher)
    assert not any("teacher" in name for name in net.state_dict())
    trainer = toy.trainer(of=net, objective=Distill(), schedule=Wsd(30, 3, 0.5))
    apart = [float(log.metrics["divergence"]) for log in trainer.run()]
    assert apart[-1] < 0.7 * apart[0]
    assert all(torch.equal(old, new) for old, new in zip(before, teacher.parameters(), strict=True))


def test_a_teacher_of_another_vocabulary_is_refused() -> None:
    small, other = (Qwen3(layers=1, dim=16, heads=2, length=8).build(size) for size in (10, 11))
    with pytest.raises(ConfigError, match="the teacher has 11 tokens and the model 10"):
        Taught(small, other)
