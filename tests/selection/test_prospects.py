"""What further trainings are expected to gain: against closed form and draws by hand, and against what they do gain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas_sens.core.figures import Objective
from nas_sens.selection import select
from nas_sens.selection.acquisition import expected_improvement
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.kernel import Kernels
from nas_sens.selection.outcome_scale import unwarp
from nas_sens.selection.prospects import AHEAD, prospects
from tests.selection.test_calibrated import first_ones, pool_of, truth

ERROR = Objective("val_error")


def drawn_by_hand(calibration, chosen, trained, n_draws=60_000):
    """Return outcomes of the chosen ones (n_draws, n), each draw by a member that is picked by its weight."""
    s, rng = calibration.surrogate, np.random.default_rng(1)
    new, old = calibration.place(chosen), calibration.place(trained)
    means, _ = s.predict(new)
    members = rng.choice(len(s.weights), size=n_draws, p=s.weights / s.weights.sum())
    draws = np.empty((n_draws, len(chosen)))
    for k in np.unique(members):
        member = s.fits[k].member
        cross = Kernels(new, old).of(member)
        known = Kernels(old, old).of(member) + member.residual * np.eye(len(trained))
        rest = Kernels(new, new).of(member) - cross @ np.linalg.solve(known, cross.T)
        covariance = (rest + member.residual * np.eye(len(chosen))) * s.fits[k].variance
        is_its = members == k
        draws[is_its] = rng.multivariate_normal(means[k], covariance, size=is_its.sum(), method="eigh")
    return unwarp(draws, calibration.outcomes)


@pytest.mark.parametrize(("n_trained", "noise"), [(3, 0.3), (12, 0.3), (12, 1.0)])
def test_gains_are_those_of_draws_by_hand(n_trained, noise):
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x, noise=noise), n_trained)
    found = prospects(pool, outcomes, objective=ERROR)
    by_digest = {c.digest: c for c in pool}
    chosen = [by_digest[p.digest] for p in select(pool, outcomes, rule="calibrated", n=AHEAD)]
    trained = [by_digest[d] for d in sorted(outcomes)]
    gains = np.maximum(min(outcomes.values()) - drawn_by_hand(calibrate(pool, outcomes), chosen, trained), 0)
    assert found.next_one == pytest.approx(gains[:, 0].mean(), rel=0.06)
    assert found.next_ten == pytest.approx(gains.max(axis=1).mean(), rel=0.06)


@pytest.mark.parametrize("n_trained", [3, 12, 30])
def test_the_next_one_gains_what_is_known_in_closed_form(n_trained):
    """Below the median the scale of outcomes is a line."""
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), n_trained)
    calibration = calibrate(pool, outcomes)
    s = calibration.surrogate
    digest = select(pool, outcomes, rule="calibrated", n=1)[0].digest
    means, variances = s.predict(calibration.place([c for c in pool if c.digest == digest]))
    sds = np.sqrt(variances[:, 0] + s.residuals)
    expected = float(s.weights @ expected_improvement(means[:, 0], sds, calibration.warped.min()))
    found = prospects(pool, outcomes, objective=ERROR)
    assert found.next_one == pytest.approx(expected * calibration.outcomes.unit, rel=0.06)


@pytest.mark.parametrize(("n_trained", "noise"), [(6, 0.3), (12, 1.0), (24, 0.3)])
def test_ten_trainings_gain_about_what_was_expected(n_trained, noise):
    expected, gained = [], []
    for seed in range(30):
        pool, x = pool_of(n=80, seed=seed)
        known = first_ones(pool, truth(x, noise=noise, seed=seed + 100), len(pool))
        trained = dict(list(known.items())[:n_trained])
        picks = select(pool, trained, rule="calibrated", n=AHEAD)
        gained.append(max(0.0, min(trained.values()) - min(known[p.digest] for p in picks)))
        expected.append(prospects(pool, trained, objective=ERROR).next_ten)
    assert np.mean(gained) / 1.5 < np.mean(expected) < np.mean(gained) * 1.5


def test_ten_gain_more_than_one_and_less_the_more_is_trained():
    pool, x = pool_of()
    y = truth(x)
    found = [prospects(pool, first_ones(pool, y, n), objective=ERROR) for n in (6, 59)]
    assert found[0].next_one < found[0].next_ten
    assert found[1].next_one == found[1].next_ten  # one is left
    assert found[1].next_ten < found[0].next_one


def test_when_nothing_is_left_nothing_is_gained():
    pool, x = pool_of(n=10)
    found = prospects(pool, first_ones(pool, truth(x), 10), objective=ERROR)
    assert (found.next_one, found.next_ten) == (0.0, 0.0)


@pytest.mark.parametrize("outcomes", [{}, {"00000": 0.1}, {"00000": 0.1, "00001": 0.1}, {"00000": math.inf}])
def test_nothing_is_said_as_long_as_outcomes_do_not_differ(outcomes):
    assert prospects(pool_of()[0], outcomes, objective=ERROR) is None


def test_gains_have_the_unit_of_the_outcome():
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), 12)
    found = prospects(pool, outcomes, objective=ERROR)
    scaled = prospects(pool, {d: 100 * v - 7 for d, v in outcomes.items()}, objective=ERROR)
    assert scaled.next_one == pytest.approx(100 * found.next_one, rel=1e-6)
    assert scaled.next_ten == pytest.approx(100 * found.next_ten, rel=1e-6)
    assert prospects(list(reversed(pool)), outcomes, objective=ERROR) == found


def test_failed_trainings_and_noise_are_allowed():
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), 12) | {"00003": math.inf}
    noise = dict.fromkeys(outcomes, 0.001)
    found = prospects(pool, outcomes, objective=ERROR, noise=noise)
    assert 0 < found.next_one < found.next_ten < 1
