"""What is refused, by name and before anything runs; and how ranks and rows are dealt out."""

import pytest

from groundup.config import Folder
from groundup.errors import ConfigError, UnsupportedError
from groundup.mesh import AXES
from groundup.models._base import Model
from groundup.parallel import context, pipeline, tensor
from groundup.parallel.layout import cut, sizes
from groundup.parallel.settings import Parallel
from groundup.recipe import Recipe


def built(name: str, **fields: object) -> Model:
    shape = {"name": name, "layers": 2, "dim": 32, "length": 16, **fields}
    return Folder("models").read(shape).build(40)  # type: ignore[attr-defined,no-any-return]


def test_the_sizes_of_the_axes_are_those_of_the_ranks() -> None:
    assert sizes(Parallel(), 4) == {**dict.fromkeys(AXES, 1), "shard": 4}
    assert sizes(Parallel(zero=0), 4) == {**dict.fromkeys(AXES, 1), "replicate": 4}
    assert sizes(Parallel(tensor=2, replicate=2), 8) == {
        **dict.fromkeys(AXES, 1),
        "tensor": 2,
        "replicate": 2,
        "shard": 2,
    }
    assert sizes(Parallel(expert=2, pipeline=2), 8) == {
        **dict.fromkeys(AXES, 1),
        "expert": 2,
        "pipeline": 2,
        "shard": 2,
    }


@pytest.mark.parametrize(
    ("settings", "world", "says"),
    [
        ({"tensor": 2}, 1, r"tensor=2 is 2 ranks, and there are 1; start it with `torchrun --nproc-per-node 2"),
        ({"data": 3, "tensor": 2}, 4, r"data=3 x tensor=2 is 6 ranks, and there are 4"),
        ({"expert": 4}, 2, r"parallel.expert=4 does not divide 2 data ranks"),
        ({"replicate": 3}, 4, r"parallel.replicate=3 does not divide 4 data ranks"),
    ],
)
def test_sizes_that_do_not_fit_the_ranks_are_refused(settings: dict[str, int], world: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        sizes(Parallel(**settings), world)


def test_a_step_is_cut_alike_for_any_ranks() -> None:
    assert cut(32, None, 1, Parallel()) == (32, 1)
    assert cut(32, 8, 2, Parallel()) == (8, 2)
    assert cut(32, 8, 8, Parallel()) == (4, 1)
    assert cut(32, None, 2, Parallel(pipeline=2)) == (8, 2)
    assert cut(32, None, 2, Parallel(pipeline=2, schedule="zero-bubble")) == (4, 4)
    assert cut(32, 2, 2, Parallel(pipeline=4)) == (2, 8)
    for bad in ((30, None, 4, Parallel()), (32, 3, 2, Parallel()), (4, None, 2, Parallel(pipeline=4))):
        with pytest.raises(ConfigError, match=r"divide|cannot be cut"):
            cut(*bad)


def test_a_model_that_cannot_be_split_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"parallel.tensor=2: RnnModel does not say"):
        tensor.check(built("rnn"), 2)
    with pytest.raises(UnsupportedError, match=r"parallel.context: RnnModel has no attention"):
        context.check(built("rnn"), 2)
    with pytest.raises(UnsupportedError, match=r"model.tied to false"):
        pipeline.check(built("qwen3", tied=True), 2, 2)
    with pytest.raises(ConfigError, match="2 layers do not make 4 stages"):
        pipeline.check(built("qwen3"), 2, 4)
    with pytest.raises(ConfigError, match=r"does not divide heads=2 of layers.0.self_attn.k_proj"):
        tensor.check(built("qwen3", heads=4, kv_heads=2), 4)
    with pytest.raises(ConfigError, match=r"do not divide model.heads=4"):
        context.check(built("qwen3"), 3)


def test_tensor_ranks_share_tokens_only_where_all_attention_is_split() -> None:
    assert tensor.can_share_tokens(built("qwen3")) and tensor.can_share_tokens(built("llama"))
    assert not tensor.can_share_tokens(built("gpt2"))


@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "zero-bubble"])
def test_every_stage_is_on_one_rank(schedule: str) -> None:
    held = [stage for rank in range(4) for stage in pipeline.stages_of(rank, 4, schedule)]
    assert sorted(held) == list(range(4 * pipeline.LOOPS[schedule]))


def test_a_recipe_says_it_by_section_or_by_word() -> None:
    assert Recipe.from_tree({"parallel": "auto"}).parallel.auto
    with pytest.raises(ConfigError, match=r"parallel.tensr: there is no such setting; did you mean 'tensor'"):
        Recipe.from_tree({"parallel": {"tensr": 2}})
    assert Parallel(tensor=2, recompute="full", zero=3).alone() == Parallel(recompute="full", zero=3)
    assert Parallel().idle() and not Parallel(tensor=2).idle() and not Parallel(recompute="full").idle()
