"""The optimism of the best, against simulations in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from nas_sens.statistics.optimism import optimism_of_best

N = 200  # simulated studies


@pytest.mark.parametrize("kind", ["normal", "long tail", "all alike"])
@pytest.mark.parametrize(("n", "noise"), [(4, 1.0), (12, 1.0), (12, 3.0), (30, 1.0), (30, 0.3)])
def test_it_is_what_the_best_owes_to_chance(kind: str, n: int, noise: float) -> None:
    rng = np.random.default_rng(n)
    expected, found = [], []
    for _ in range(N):
        truth = {"normal": rng.standard_normal(n), "long tail": np.exp(rng.standard_normal(n))}.get(kind, np.zeros(n))
        seeds = truth[:, None] + np.sqrt(3) * noise * rng.standard_normal((n, 3))  # so that `noise` is of the mean
        result, errors = seeds.mean(1), seeds.std(1, ddof=1) / np.sqrt(3)
        expected.append(truth[result.argmin()] - result.min())
        optimism = optimism_of_best(result, errors)
        assert optimism is not None
        found.append((optimism.expected, optimism.at_most))
    mean, most = np.mean(found, axis=0)
    standard_error = np.std(expected) / np.sqrt(N)
    assert mean == pytest.approx(np.mean(expected), rel=1 / 3, abs=standard_error)
    assert most > 0.85 * np.mean(expected)


def test_what_is_not_known_is_bounded() -> None:
    y = np.random.default_rng(0).standard_normal(20)
    optimism = optimism_of_best(y, [None] * 20)
    assert optimism is not None
    assert (optimism.expected, optimism.noise, optimism.n) == (None, None, 20)
    assert 0.8 < optimism.at_most < 3  # 1.87 standard deviations of 20 normal numbers
    known = optimism_of_best(y, [0.3] * 20)
    assert known is not None
    assert known.expected is not None
    assert 0 < known.expected < known.at_most


def test_one_result_is_not_chosen_and_none_is_nothing() -> None:
    one = optimism_of_best([0.5, np.inf], [0.1, None])
    assert one is not None
    assert (one.n, one.expected, one.at_most) == (1, 0.0, 0.0)
    assert optimism_of_best([np.nan], [None]) is None
    assert optimism_of_best([0.5, 0.5], [0.0, 0.0]).expected == 0.0


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_it_has_the_unit_of_the_results(factor: float) -> None:
    y, s = np.random.default_rng(1).random(9), np.full(9, 0.2)
    a, b = optimism_of_best(y, s), optimism_of_best(factor * y - 3, factor * s)
    assert a.expected * factor == pytest.approx(b.expected)
    assert a.at_most * factor == pytest.approx(b.at_most)
