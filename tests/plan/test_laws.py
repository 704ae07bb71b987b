"""The laws of loss against figures worked out from their published constants, and against what their papers print."""

import pytest

from groundup.plan.laws import CHINCHILLA, EPOCH, Law, effective_tokens

# FLOP -> (parameters, tokens, nats per token) at the optimum; 0.5 % is the figures' own rounding.
OPTIMA: dict[str, tuple[Law, dict[float, tuple[float, float, float]]]] = {
    "epoch": (
        EPOCH,
        {
            1e15: (2.336e6, 7.134e7, 7.5475),
            1e17: (2.476e7, 6.731e8, 4.3380),
            1e18: (8.062e7, 2.067e9, 3.4891),
            1e19: (2.625e8, 6.350e9, 2.9260),
            1e20: (8.545e8, 1.950e10, 2.5526),
            1e21: (2.782e9, 5.991e10, 2.3048),
            1.23e22: (1.007e10, 2.036e11, 2.1288),
            5.76e23: (7.235e10, 1.327e12, 1.9740),
            3.85e24: (1.916e11, 3.349e12, 1.9288),
        },
    ),
    "chinchilla": (
        CHINCHILLA,
        {
            1e15: (4.042e6, 4.123e7, 6.8069),
            1e17: (3.309e7, 5.037e8, 4.1997),
            1e18: (9.466e7, 1.761e9, 3.4481),
            1e19: (2.708e8, 6.154e9, 2.9218),
            1e20: (7.749e8, 2.151e10, 2.5534),
            1e21: (2.217e9, 7.518e10, 2.2955),
            1.23e22: (6.972e9, 2.941e11, 2.1016),
            5.76e23: (4.036e10, 2.379e12, 1.9184),
            3.85e24: (9.608e10, 6.679e12, 1.8611),
        },
    ),
}
CASES = [(law, flops, want) for law, table in OPTIMA.values() for flops, want in table.items()]


@pytest.mark.parametrize(("law", "flops", "want"), CASES)
def test_the_optimum_for_a_budget(law: Law, flops: float, want: tuple[float, float, float]) -> None:
    parameters, tokens = law.optimum(flops)
    assert (parameters, tokens, law.loss(parameters, tokens)) == pytest.approx(want, rel=0.005)
    assert 6 * parameters * tokens == pytest.approx(flops)


@pytest.mark.parametrize("law", [EPOCH, CHINCHILLA])
def test_no_other_shape_of_the_same_budget_is_better(law: Law) -> None:
    parameters, tokens = law.optimum(1e19)
    best = law.loss(parameters, tokens)
    assert all(law.loss(parameters * factor, tokens / factor) > best for factor in (0.5, 0.9, 1.1, 2.0))


@pytest.mark.parametrize(
    ("parameters", "tokens", "chinchilla", "epoch"),
    [
        (280e9, 300e9, 1.9672, 1.9991),  # Gopher
        (70e9, 1.4e12, 1.9208, 1.9734),  # Chinchilla
        (175e9, 300e9, 1.9764, 2.0080),  # GPT-3
        (124e6, 10e9, 3.0057, 3.0127),
        (124e6, 2.5e9, 3.2873, 3.3152),
        (1.558e9, 32e9, 2.4206, 2.4221),
    ],
)
def test_losses_at_known_models(parameters: float, tokens: float, chinchilla: float, epoch: float) -> None:
    assert CHINCHILLA.loss(parameters, tokens) == pytest.approx(chinchilla, rel=0.005)
    assert EPOCH.loss(parameters, tokens) == pytest.approx(epoch, rel=0.005)


@pytest.mark.parametrize(
    ("flops", "parameters", "tokens"),
    [(1.92e19, 400e6, 8.0e9), (1.21e20, 1e9, 20.2e9), (1.23e22, 10e9, 205.1e9), (5.76e23, 67e9, 1.5e12)],
)
def test_the_replication_agrees_with_approach_one_of_the_paper(flops: float, parameters: float, tokens: float) -> None:
    """Table 3 of arXiv 2203.15556, from curves rather than from a law: within a tenth or so."""
    assert EPOCH.optimum(flops) == pytest.approx((parameters, tokens), rel=0.12)


@pytest.mark.parametrize(("epochs", "worth"), [(1.0, 1.0), (4.0, 3.726), (10.0, 7.814), (16.0, 10.582)])
def test_what_repeated_text_is_worth(epochs: float, worth: float) -> None:
    assert effective_tokens(epochs * 25e9, 25e9) / 25e9 == pytest.approx(worth, rel=0.005)


def test_text_read_in_part_is_worth_what_was_read() -> None:
    assert effective_tokens(3.0, 10.0) == 3.0
