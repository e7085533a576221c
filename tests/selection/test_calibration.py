"""Calibration: what features say about outcomes, as far as few trained candidates can tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas_sens.core.errors import InvalidInputError
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.candidates import Candidate


def pool_of(x, families=None, names=("log10_sensitivity", "log10_params", "depth", "other")):
    return [
        Candidate(
            f"{i:04d}",
            {name: float(v) for name, v in zip(names, row, strict=False)},
            family="fc" if families is None else f"family {families[i]}",
        )
        for i, row in enumerate(x)
    ]


def linear(slope, n=200, seed=0, noise=0.3, p=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    return x, 0.1 + 0.02 * (slope * x[:, 0] + noise * rng.normal(size=n))


def trained(pool, y, n, seed=1):
    chosen = np.random.default_rng(seed).choice(len(pool), n, replace=False)
    return {pool[i].digest: float(y[i]) for i in chosen}


def rank_correlation(calibration, pool, y, outcomes):
    rest = [i for i, c in enumerate(pool) if c.digest not in outcomes]
    return stats.spearmanr(calibration.predict([pool[i] for i in rest]).mean, y[rest])[0]


@pytest.mark.parametrize("sign", [-1, 1])
def test_sign_and_slope_are_fitted_and_never_assumed(sign):
    x, y = linear(sign)
    pool = pool_of(x)
    outcomes = trained(pool, y, 20)
    calibration = calibrate(pool, outcomes)
    slope = calibration.slopes["log10_sensitivity"]
    assert slope.mean * sign > 0.5
    assert abs(slope.mean) > 3 * slope.sd
    assert all(abs(calibration.slopes[k].mean) < 3 * calibration.slopes[k].sd for k in ("log10_params", "depth"))
    assert rank_correlation(calibration, pool, y, outcomes) > 0.85


def test_slopes_live_within_families_and_offsets_between_them():
    rng = np.random.default_rng(0)
    x, families = rng.normal(size=(300, 2)), rng.integers(0, 3, 300)
    x[:, 0] += 2.0 * families  # across families larger S looks worse, within each it is better
    y = 0.1 + 0.02 * (-x[:, 0] + 6.0 * families + 0.3 * rng.normal(size=300))
    assert stats.spearmanr(x[:, 0], y)[0] > 0.5
    pool = pool_of(x, families)
    outcomes = trained(pool, y, 24)
    calibration = calibrate(pool, outcomes)
    assert calibration.slopes["log10_sensitivity"].mean < -2 * calibration.slopes["log10_sensitivity"].sd
    blind = calibrate([Candidate(c.digest, c.features) for c in pool], outcomes)
    assert blind.slopes["log10_sensitivity"].mean > 0
    assert rank_correlation(calibration, pool, y, outcomes) > max(0.9, rank_correlation(blind, pool, y, outcomes))


def test_curves_are_learnt_when_there_are_points_for_them():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2))
    y = (x[:, 0] - 0.3) ** 2 + 0.1 * rng.normal(size=300)
    pool = pool_of(x)
    outcomes = trained(pool, y, 30)
    assert rank_correlation(calibrate(pool, outcomes), pool, y, outcomes) > 0.8


def test_standard_deviations_are_honest():
    scores = []
    for seed in range(30):
        x, y = linear(-1.0, seed=seed, noise=0.8)
        pool = pool_of(x)
        outcomes = trained(pool, y, 15, seed=seed)
        rest = [i for i, c in enumerate(pool) if c.digest not in outcomes]
        found = calibrate(pool, outcomes).predict([pool[i] for i in rest])
        good = found.mean < np.median(list(outcomes.values()))  # where the scale is linear
        scores.append(((y[rest] - found.mean) / found.sd)[good])
    scores = np.concatenate(scores)
    assert 0.8 < scores.std() < 1.2
    assert 0.90 < np.mean(np.abs(scores) < 1.96) < 0.99


def test_the_unit_of_the_outcome_and_the_order_of_the_input_do_not_matter():
    x, y = linear(1.0)
    pool = pool_of(x)
    outcomes = trained(pool, y, 12)
    found = calibrate(pool, outcomes).predict(pool)
    in_percent = calibrate(pool, {k: 100 * v + 7 for k, v in outcomes.items()}).predict(pool)
    np.testing.assert_allclose(in_percent.mean, 100 * found.mean + 7, rtol=1e-8)
    np.testing.assert_allclose(in_percent.sd, 100 * found.sd, rtol=1e-8)
    again = calibrate(pool[::-1], dict(reversed(outcomes.items()))).predict(pool)
    np.testing.assert_array_equal(again.mean, found.mean)
    np.testing.assert_array_equal(again.sd, found.sd)
    assert calibrate(pool[::-1], outcomes).slopes == calibrate(pool, outcomes).slopes


def test_failed_trainings_teach_as_bad_outcomes():
    x, y = linear(1.0, noise=0.1)
    y = np.where(y > np.quantile(y, 0.7), math.inf, y)
    pool = pool_of(x)
    outcomes = trained(pool, y, 20)
    assert any(math.isinf(v) for v in outcomes.values())
    calibration = calibrate(pool, outcomes)
    assert calibration.slopes["log10_sensitivity"].mean > 0.5
    found = calibration.predict(pool)
    mean, sd = found.mean, found.sd
    assert np.isfinite(mean).all()
    assert (sd > 0).all()
    assert stats.spearmanr(mean, x[:, 0])[0] > 0.8


def test_missing_and_infinite_features_are_taken_as_they_are():
    x, y = linear(1.0)
    pool = pool_of(x)
    pool[0] = Candidate("0000", {"log10_sensitivity": -math.inf})
    pool[1] = Candidate("0001", {"log10_params": math.nan})
    pool[2] = Candidate("0002", {"log10_sensitivity": math.inf}, family="fc")
    calibration = calibrate(pool, trained(pool, y, 20))
    found = calibration.predict(pool)
    mean, sd = found.mean, found.sd
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert mean[2] == pytest.approx(mean.max(), rel=0.2)
    assert mean[0] < mean[1] < mean[2]  # nothing is known of the one between: it is taken for the pool's median
    assert list(calibration.slopes) == ["depth", "log10_params", "log10_sensitivity", "other"]


def test_noise_makes_an_outcome_count_less():
    x, y = linear(1.0, noise=0.0)
    pool = pool_of(x)
    outcomes = trained(pool, y, 12)
    wrong = min(outcomes, key=outcomes.get)
    outcomes[wrong] = max(outcomes.values()) * 1.5
    believed = calibrate(pool, outcomes)
    doubted = calibrate(pool, outcomes, noise={wrong: 0.2})
    assert rank_correlation(doubted, pool, y, outcomes) > rank_correlation(believed, pool, y, outcomes)
    assert calibrate(pool, outcomes, noise={"of another study": 1.0}).slopes == believed.slopes


def test_no_features_at_all_leave_the_families():
    pool = [Candidate(f"{i:02d}", {}, family="ab"[i % 2]) for i in range(20)]
    outcomes = {f"{i:02d}": 0.1 + 0.1 * (i % 2) + 0.001 * i for i in range(10)}
    calibration = calibrate(pool, outcomes)
    mean = calibration.predict(pool[10:]).mean
    assert (mean[1::2] > mean[::2]).all()
    assert calibration.slopes == {}
    assert calibration.predict([]).mean.shape == (0,)


def test_without_outcomes_that_differ_nothing_is_said():
    pool = pool_of(linear(1.0)[0])
    for outcomes in ({}, {"0001": 0.1}, dict.fromkeys(["0001", "0002", "0003"], 0.1)):
        calibration = calibrate(pool, outcomes)
        assert not calibration.says_something
        assert np.isfinite(calibration.predict(pool).mean).all()
    assert calibrate(pool, {"0001": 0.1, "0002": 0.2}).says_something


def test_what_cannot_be_used_is_refused():
    pool = pool_of(linear(1.0)[0])
    with pytest.raises(InvalidInputError, match="given nan for 0002"):
        calibrate(pool, {"0001": 0.1, "0002": math.nan})
    with pytest.raises(InvalidInputError, match="given -inf for 0002"):
        calibrate(pool, {"0001": 0.1, "0002": -math.inf})
    with pytest.raises(InvalidInputError, match=r"given -0\.5 for 0001"):
        calibrate(pool, {"0001": 0.1, "0002": 0.2}, noise={"0001": -0.5})
    with pytest.raises(InvalidInputError, match="is given twice"):
        calibrate([*pool, pool[0]], {"0001": 0.1, "0002": 0.2})
