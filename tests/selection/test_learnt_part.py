"""Which part of thousands of trained candidates the surrogate is fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from nas_sens.selection import calibration, select
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.learnt_part import MOST, learnt_part
from tests.selection.test_calibrated import first_ones, pool_of, truth


def digests(trained):
    return {trained[i].digest for i in learnt_part(trained)}


def test_of_few_all_are_learnt_from_and_of_many_a_part():
    many = [Candidate(f"{i:05d}") for i in range(1000)]
    for n in (1, MOST - 1, MOST):
        np.testing.assert_array_equal(learnt_part(many[:n]), np.arange(n))
    part = learnt_part(many)
    assert part.size == MOST
    assert (np.diff(part) > 0).all()
    assert digests(many[::-1]) == digests(many)


def test_the_part_changes_little_when_more_are_trained_and_is_spread():
    many = [Candidate(f"{i:05d}") for i in range(1000)]
    before, after = digests(many[:900]), digests(many)
    assert after - before <= {c.digest for c in many[900:]}  # only new ones come in
    quarters = np.bincount(learnt_part(many) // 250, minlength=4)
    assert (abs(quarters - MOST / 4) < 4 * np.sqrt(MOST * 3 / 16)).all()


@pytest.fixture(scope="module")
def study():
    pool, x = pool_of(n=700)
    y = truth(x)
    return pool, first_ones(pool, y, 600), y


def test_the_fit_has_a_bounded_number_of_rows_but_all_outcomes_count(study, monkeypatch):
    pool, outcomes, _ = study
    rows, fit = [], calibration.fit
    monkeypatch.setattr(calibration, "fit", lambda names, x, *rest: rows.append(len(x)) or fit(names, x, *rest))
    found = calibrate(pool, outcomes)
    assert rows == [MOST]
    assert found.warped.size == len(outcomes)
    assert len(found.surrogate.places) == found.learnt.size == MOST
    order = [c.digest for c in sorted(pool, key=lambda c: c.digest) if c.digest in outcomes]
    assert int(np.argmin(found.warped)) == order.index(min(outcomes, key=outcomes.get))
    assert found.slopes["log10_sensitivity"].mean < -0.5  # as it is


def test_picks_of_many_are_good_and_do_not_depend_on_the_order(study):
    pool, outcomes, y = study
    picks = select(pool, outcomes, rule="calibrated", n=5)
    assert select(pool[::-1], outcomes, rule="calibrated", n=5) == picks
    left = np.sort(y[600:])
    assert np.mean([y[int(p.digest)] for p in picks]) < left[25]
