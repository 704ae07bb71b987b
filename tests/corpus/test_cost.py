"""Planning a cluster: the arithmetic by hand, what is refused, and the command that prints it."""

import json

import pytest

from groundup.cli import main
from groundup.corpus.cost import Cluster, cost, size_of
from groundup.errors import ConfigError

RATES = {"judge": 5.0, "relate": 50.0, "parent": 100_000.0, "publish": 25.0}


def test_the_arithmetic_is_that_of_a_pencil() -> None:
    found = cost(10e12, Cluster(nodes=10, cores=100, price=2.0, use=0.5), RATES, document_bytes=5000, copies=0.2)
    # 10,000,000 MB over 500 cores; 2e9 documents on one.
    assert {name: seconds for name, (seconds, _) in found.passes.items()} == pytest.approx(
        {"judge": 4000.0, "relate": 400.0, "parent": 20_000.0, "publish": 800.0}
    )
    assert found.money == pytest.approx(25_200 / 3600 * 10 * 2.0)
    assert found.parent_bytes == pytest.approx(2e9 * (100 + 0.2 * 500))
    assert found.passes["judge"][1] == "10,000,000 MB / (5 MB/s × 10 nodes × 100 cores × 0.5)"


def test_what_is_missing_or_misspelt_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'publish'"):
        cost(1e9, Cluster(1, 1, 0.0), {**RATES, "publsh": 1.0})
    with pytest.raises(ConfigError, match="rate parent: give a number above 0"):
        cost(1e9, Cluster(1, 1, 0.0), {**RATES, "parent": 0.0})
    for wrong in ("ten", "10XB", "-3GB", ""):
        with pytest.raises(ConfigError, match="is no size"):
            size_of(wrong)


def test_the_command_shows_its_sums(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["corpus", "cost", "10TB", "--nodes", "10", "--cores", "100", "--use", "0.5", "--price", "2"]
    rates = ["--rate", *(f"{name}={rate}" for name, rate in RATES.items())]
    assert main([*words, *rates]) == 0
    said = capsys.readouterr().out
    assert "10,000,000 MB / (5 MB/s × 10 nodes × 100 cores × 0.5) = 4,000 s" in said and "= 140" in said
    assert main([*words, *rates, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hours"] == pytest.approx(7.0)
    assert main([*words, "--rate", "judge=fast"]) == 2
    assert "write it as PASS=NUMBER" in capsys.readouterr().err
