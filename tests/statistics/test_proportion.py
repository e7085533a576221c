"""The standard error of a share: against the binomial distribution itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas_sens.statistics.proportion import standard_error_of_share


@pytest.mark.parametrize("n", [30, 300, 10_000])
@pytest.mark.parametrize("p", [0.03, 0.2, 0.5, 0.9])
def test_it_scatters_as_the_binomial_distribution_does_and_is_rather_too_large(p: float, n: int) -> None:
    counts = np.arange(n + 1)
    weights = stats.binom.pmf(counts, n, p)
    mean_square = sum(w * standard_error_of_share(k / n, n) ** 2 for k, w in zip(counts, weights, strict=True) if w)
    truth = p * (1 - p) / n
    assert 0.95 * truth <= mean_square
    if n * min(p, 1 - p) > 5:
        assert mean_square < 1.2 * truth


@given(share=st.floats(0, 1), n=st.integers(1, 10**6))
def test_it_is_never_nothing_and_the_same_for_right_and_wrong(share: float, n: int) -> None:
    found = standard_error_of_share(share, n)
    assert 0 < found <= 0.5 / math.sqrt(n)
    assert found == pytest.approx(standard_error_of_share(1 - share, n), rel=1e-6)
