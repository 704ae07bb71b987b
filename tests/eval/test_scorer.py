"""What a model says of texts, against the plain way: one text at a time, every logit."""

from math import log

import pytest
import torch

from eval import chain
from groundup.config import Folder
from groundup.eval.scorer import ModelScorer, Pair, Said
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.characters import Characters
from groundup.tokenizer.special import END_OF_TEXT

LENGTH = 48
GROUPS: list[list[Pair]] = [
    [("Question: what is red?\nAnswer:", f" {word}") for word in ("a fox", "the sea at night", "x", "snow")],
    [("", "the cat sat on it"), ("", "the cat sat in it, and slept")],
    [("he said that she", " went"), ("he said that they", " went")],
    [("alone", " here")],
    [("a long beginning " * 9, "end"), ("a long beginning " * 9, "no end")],
    [("white space   ", "moves"), ("nothing", "")],
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Characters(vocab_size=300).train([given + said for group in GROUPS for given, said in group])


def model(name: str, tokenizer: Tokenizer) -> Model:
    return (
        Folder("models")
        .read({"name": name, "layers": 2, "dim": 16, "length": LENGTH, "std": 0.5})
        .build(tokenizer.vocab_size, seed=5)
    )


def plainly(model: Model, tokenizer: Tokenizer, pair: Pair) -> Said:
    """One text, no batch, no memory: the last tokens of it after the ones before."""
    given, said = pair
    bare = given.rstrip()
    whole, start = tokenizer.encode(given + said), len(tokenizer.encode(bare))
    ids = [tokenizer.special[END_OF_TEXT], *whole][-LENGTH - 1 :]
    n = len(whole) - start
    with torch.inference_mode():
        logp = torch.log_softmax(model.logits(model(torch.tensor([ids[:-1]])))[0].double(), -1)
    targets = torch.tensor(ids[1:])
    told = logp.gather(1, targets[:, None])[:, 0][len(targets) - n :]
    greedy = bool((logp.argmax(-1) == targets)[len(targets) - n :].all())
    return Said(float(told.sum()), greedy, n, len(whole) > LENGTH)


@pytest.mark.parametrize("name", Folder("models").choices())
def test_batches_and_shared_beginnings_change_nothing(name: str, tokenizer: Tokenizer) -> None:
    made = model(name, tokenizer).eval()
    for batch_tokens in (40, 4096):
        found = ModelScorer(made, tokenizer, batch_tokens=batch_tokens).score(GROUPS)
        for group, row in zip(GROUPS, found, strict=True):
            for pair, said in zip(group, row, strict=True):
                expected = plainly(made, tokenizer, pair)
                assert said.logp == pytest.approx(expected.logp, abs=1e-4)
                assert said[1:] == expected[1:]


def test_what_the_model_would_say_is_greedy() -> None:
    """A model that goes on from each letter of a text to the next."""
    scorer = ModelScorer(chain.continuing("What is"), chain.tokenizer())
    ((right, wrong),) = scorer.score([[("What", " is"), ("What", " it")]])
    assert right.greedy and not wrong.greedy
    assert right.logp > wrong.logp


def test_texts_are_read_from_end_to_end(tokenizer: Tokenizer) -> None:
    made = model("qwen3", tokenizer)
    with torch.no_grad():
        made.head_weight.zero_()
    texts = ["a stitch in time", "x" * 100, ""]
    nats = ModelScorer(made, tokenizer).read(texts)
    assert nats == pytest.approx([len(tokenizer.encode(text)) * log(tokenizer.vocab_size) for text in texts])


def test_the_mode_of_the_model_is_left_alone(tokenizer: Tokenizer) -> None:
    made = model("llama", tokenizer).train()
    ModelScorer(made, tokenizer, dtype=torch.bfloat16).score(GROUPS[:2])
    assert made.training
