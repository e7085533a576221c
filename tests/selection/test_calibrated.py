"""The rule ``calibrated``: against fits from scratch, and on simulated pools whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.selection import round_sizes, select
from nas_sens.selection.acquisition import expected_improvement
from nas_sens.selection.calibrated import LONGEST_BATCH, SHORTLIST, _best
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.kernel import Kernels, prior_variance
from nas_sens.selection.places import place, scale_of

NAMES = ("log10_sensitivity", "log10_params", "depth")


def pool_of(n=60, seed=0, n_families=2):
    rng = np.random.default_rng(seed)
    x, families = rng.normal(size=(n, 3)), rng.integers(0, n_families, n)
    return [
        Candidate(f"{i:05d}", dict(zip(NAMES, map(float, row), strict=True)), family=f"family {f}")
        for i, (row, f) in enumerate(zip(x, families, strict=True))
    ], x


def truth(x, *, slope=-1.0, noise=0.3, seed=0):
    return 0.1 + 0.02 * (slope * x[:, 0] + noise * np.random.default_rng(seed).normal(size=len(x)))


def first_ones(pool, y, n):
    return {c.digest: float(v) for c, v in zip(pool[:n], y[:n], strict=True)}


def run(pool, y, sizes, seed=0):
    """Train in rounds; return the outcomes in the order of training."""
    known = {c.digest: float(v) for c, v in zip(pool, y, strict=True)}
    trained = {}
    for n in sizes:
        trained |= {p.digest: known[p.digest] for p in select(pool, trained, rule="calibrated", n=n, seed=seed)}
    return list(trained.values())


def batch_from_scratch(pool, outcomes, n):
    """Choose one by one; after each, fit every member anew as if what all expect of it had come true.

    Of all trainings every other one is the best that is expected.

    What is believed tells a member no mean, so that its own stay, but what it is sure of.
    """
    calibration = calibrate(pool, outcomes)
    s = calibration.surrogate
    free = [c for c in pool if c.digest not in outcomes]
    places = calibration.place(free)
    means, _ = s.predict(places)
    expected = s.weights @ means
    known, believed = float(calibration.warped.min()) if outcomes else -1.0, []
    for k in range(n):
        if (len(outcomes) + k) % 2 == 0:
            left = [j for j in range(len(free)) if j not in believed]
            believed.append(min(left, key=lambda j: expected[j]))
            continue
        trained = calibration.place([c for c in pool if c.digest in outcomes] + [free[j] for j in believed])
        gain = np.zeros(len(free))
        for one, weight, mean in zip(s.fits, s.weights, means, strict=True):
            cross = Kernels(places, trained).of(one.member)
            covariance = Kernels(trained, trained).of(one.member) + one.member.residual * np.eye(len(trained))
            rest = prior_variance(one.member, places) - (cross * np.linalg.solve(covariance, cross.T).T).sum(axis=1)
            best = min([known, *(expected[j] for j in believed)])
            gain += weight * expected_improvement(mean, np.sqrt(np.maximum(rest, 0) * one.variance), best)
        gain[believed] = -1.0
        believed.append(int(np.argmax(gain)))
    return [free[j].digest for j in believed]


@pytest.mark.parametrize("n_trained", [0, 1, 3, 12])
@pytest.mark.parametrize("seed", range(2))
def test_a_batch_is_chosen_as_if_the_picks_before_had_come_out_as_predicted(n_trained, seed):
    pool, x = pool_of(seed=seed)
    outcomes = first_ones(pool, truth(x), n_trained)
    picks = select(pool, outcomes, rule="calibrated", n=6)
    assert [p.digest for p in picks] == batch_from_scratch(pool, outcomes, 6)


@pytest.mark.parametrize("n_trained", [0, 1, 3, 12])
@pytest.mark.parametrize("cost", [None, "log10_params"])
def test_what_is_under_way_is_believed_to_come_out_as_predicted(n_trained, cost):
    """The next picks are those of a batch that had begun with what is under way."""
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), n_trained)

    def chosen(n, pending=()):
        return [p.digest for p in select(pool, outcomes, rule="calibrated", n=n, cost=cost, pending=pending)]

    batch = chosen(8)
    for n_pending in (1, 2, 5):
        assert chosen(8 - n_pending, batch[:n_pending]) == batch[n_pending:]
        assert chosen(8 - n_pending, list(reversed(batch[:n_pending]))) == batch[n_pending:]
    everyone = chosen(99, batch[3:5])
    assert sorted([*everyone, *batch[3:5]]) == [c.digest for c in pool[n_trained:]]


def test_without_anything_under_way_nothing_changes():
    pool, x = pool_of()
    for n_trained in (0, 3, 12):
        outcomes = first_ones(pool, truth(x), n_trained)
        plain = select(pool, outcomes, rule="calibrated", n=99)
        for pending in ([], (), set(), ["of another study"], [*outcomes]):
            assert select(pool, outcomes, rule="calibrated", n=99, pending=pending) == plain


def test_more_may_be_under_way_than_a_batch_holds():
    pool, x = pool_of(n=2 * LONGEST_BATCH + 30)
    outcomes = first_ones(pool, truth(x), 12)
    pending = [c.digest for c in pool[12 : 12 + LONGEST_BATCH + 9]]
    picks = [p.digest for p in select(pool, outcomes, rule="calibrated", n=999, pending=pending)]
    assert sorted(picks) == sorted(c.digest for c in pool[12 + LONGEST_BATCH + 9 :])


def test_without_outcomes_the_first_is_the_champion_of_most_hypotheses():
    pool, _ = pool_of(n=80, n_families=3)
    first, *others = select(pool, {}, rule="calibrated", n=80)
    assert first.predicted_mean is None
    assert "more capacity being better mostly: nothing is trained yet" in first.reason
    scale = scale_of(pool)
    capacity = place(pool, scale).capacity
    assert capacity[int(first.digest)] > np.quantile(capacity, 0.95)
    assert all(p.predicted_mean is None for p in others)


def test_the_first_picks_are_not_all_alike():
    """Champions of single features are heard beside those of capacity, so that something is learnt of each."""
    pool, x = pool_of(n=200, n_families=1)
    chosen = x[[int(p.digest) for p in select(pool, {}, rule="calibrated", n=6)]]
    champions, others = chosen[::2], chosen[1::2]
    assert (champions[:, 1] > np.quantile(x[:, 1], 0.95)).all()  # parameters
    gaps = np.linalg.norm(others[:, None] - chosen[None, :], axis=2)
    assert np.sort(gaps, axis=1)[:, 1].min() > 0.5  # but for itself


def test_with_outcomes_that_teach_nothing_no_number_is_promised():
    pool, _ = pool_of()
    for outcomes in ({"00003": 0.1}, dict.fromkeys(["00003", "00005"], math.inf), dict.fromkeys(["00001"], 0.2)):
        rest = select(pool, outcomes, rule="calibrated", n=99)
        assert len(rest) == len(pool) - len(outcomes)
        assert all(f"too few outcomes to learn from ({len(outcomes)})" in p.reason for p in rest)
        assert all(p.predicted_mean is None for p in rest)


def test_a_first_failure_is_learnt_from():
    """Of equal outcomes there is no better half, but the next differ from what was tried."""
    pool, _ = pool_of(n=200, n_families=1)
    champion = select(pool, {}, rule="calibrated", n=1)[0].digest
    nxt = select(pool, {champion: math.inf}, rule="calibrated", n=1)[0].digest
    assert nxt != champion
    assert nxt in {p.digest for p in select(pool, {champion: 0.3}, rule="calibrated", n=5)}


@pytest.mark.parametrize("n_trained", [0, 1, 12])
def test_picks_do_not_depend_on_order_number_or_strangers(n_trained):
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), n_trained)
    ten = select(pool, outcomes, rule="calibrated", n=10, seed=2)
    shuffled = [pool[i] for i in np.random.default_rng(0).permutation(len(pool))]
    strangers = dict(reversed({**outcomes, "of another study": 0.0}.items()))
    assert select(shuffled, strangers, rule="calibrated", n=10, seed=2) == ten
    assert select(pool, outcomes, rule="calibrated", n=4, seed=2) == ten[:4]
    everyone = [p.digest for p in select(pool, outcomes, rule="calibrated", n=99, seed=2)]
    assert sorted(everyone) == [c.digest for c in pool[n_trained:]]


@pytest.mark.parametrize("slope", [-1.0, 1.0])
def test_it_finds_the_best_whichever_way_sensitivity_goes(slope):
    ranks = []
    for seed in range(8):
        pool, x = pool_of(n=200, seed=seed)
        y = truth(x, slope=slope, seed=seed)
        ranks.append(np.sum(y < min(run(pool, y, round_sizes(12, 3), seed=seed))))
    # By chance the best of 12 among 200 has a mean of (200 - 12) / 13 = 14.5 better ones.
    assert np.mean(ranks) < 5


def test_useless_features_make_it_no_worse_than_chance():
    better = []
    for seed in range(40):
        pool, _ = pool_of(n=100, seed=seed)
        y = np.random.default_rng([seed, 1]).permutation(100).astype(float)
        better.append(min(run(pool, y, round_sizes(9, 3), seed=seed)))
    # By chance the best of 9 among 100 has (100 - 9) / 10 = 9.1 better ones, with a standard deviation of 8.2.
    assert abs(np.mean(better) - 9.1) < 3 * 8.2 / math.sqrt(40)


def test_families_are_learnt():
    pool, _ = pool_of(n=150, n_families=3)
    family = np.array([int(c.family[-1]) for c in pool])
    y = 0.1 + 0.1 * (family != 1) + 0.01 * np.random.default_rng(0).normal(size=150)
    outcomes = {c.digest: float(v) for c, v in zip(pool[:12], y[:12], strict=True)}
    picks = select(pool, outcomes, rule="calibrated", n=6)
    assert sum(pool[int(p.digest)].family == "family 1" for p in picks) >= 5


def test_a_reason_says_what_is_expected_and_which_way_sensitivity_goes():
    pool, x = pool_of(n=200)
    y = truth(x)
    best, pick = select(pool, first_ones(pool, y, 30), rule="calibrated", n=2)
    assert best.reason.startswith("best val_error expected of all; predicted 0.0")
    assert best.predicted_mean <= pick.predicted_mean
    calibration = calibrate(pool, first_ones(pool, y, 30))
    slope = calibration.slopes["log10_sensitivity"]
    predicted = calibration.predict([pool[int(pick.digest)]])
    mean, sd = predicted.mean, predicted.sd
    assert (pick.predicted_mean, pick.predicted_sd) == (pytest.approx(mean[0]), pytest.approx(sd[0]))
    assert pick.reason.startswith("expected improvement 0.0")
    assert pick.reason.endswith(
        f" of val_error; predicted {mean[0]:.3g} ± {sd[0]:.2g}; larger S goes with smaller val_error here "
        f"(slope {slope.mean:.2g} ± {slope.sd:.1g} sd)"
    )
    gain = float(pick.reason.split()[2])
    assert 0 < gain < y.max() - y.min()
    unsure = select(pool, first_ones(pool, y, 2), rule="calibrated", n=1, target="val_loss")[0]
    assert "larger S may go with" in unsure.reason
    assert "val_loss" in unsure.reason
    others = [Candidate(c.digest, {"log10_flops": c.features["log10_sensitivity"]}) for c in pool]
    assert "larger flops goes with smaller" in select(others, first_ones(pool, y, 30), rule="calibrated", n=1)[0].reason


def test_expected_improvement_in_the_reason_has_the_unit_of_the_outcome():
    pool, x = pool_of(n=100)
    y = truth(x)
    gains = [
        float(select(pool, first_ones(pool, unit * y, 20), rule="calibrated", n=2)[1].reason.split()[2])
        for unit in (1.0, 100.0)
    ]
    assert gains[1] == pytest.approx(100 * gains[0], rel=0.02)


def test_noise_is_passed_on():
    pool, x = pool_of(n=200)
    outcomes = first_ones(pool, truth(x, noise=0.0), 12)
    outcomes["00000"] = -1.0
    picks = [select(pool, outcomes, rule="calibrated", n=3, noise=n) for n in (None, {"00000": 2.0})]
    assert picks[0] != picks[1]


def test_with_a_cost_the_front_of_both_is_improved():
    pool, x = pool_of(n=300, n_families=1)
    y = 0.1 - 0.02 * x[:, 1]  # more parameters, smaller error: all are on the front
    outcomes = {c.digest: float(v) for c, v in zip(pool[:20], y[:20], strict=True)}
    both = select(pool, outcomes, rule="calibrated", n=8, cost="log10_params")
    alone = select(pool, outcomes, rule="calibrated", n=2)
    params = [x[int(p.digest), 1] for p in both]
    assert min(x[int(p.digest), 1] for p in alone) > 2
    assert min(params) < 0
    assert sum(1 < p < 2 for p in params) >= 1
    assert "expected improvement of the front of val_error and log10_params; predicted" in both[0].reason
    y = 0.1 - 0.02 * x[:, 0]  # parameters do not matter: what is picked lies on the front of what is trained
    outcomes = {c.digest: float(v) for c, v in zip(pool[:20], y[:20], strict=True)}
    for pick in select(pool, outcomes, rule="calibrated", n=5, cost="log10_params"):
        cheaper = [y[i] for i in range(20) if x[i, 1] <= x[int(pick.digest), 1]]
        assert pick.predicted_mean - pick.predicted_sd < min(cheaper, default=1.0)


def test_pools_larger_than_the_shortlist_are_ordered_to_the_end():
    rng = np.random.default_rng(0)
    n = SHORTLIST + 50
    x = rng.normal(size=n)
    pool = [Candidate(f"{i:05d}", {"log10_sensitivity": float(v)}) for i, v in enumerate(x)]
    outcomes = {c.digest: float(v) for c, v in zip(pool[:6], x[:6], strict=True)}
    order = [p.digest for p in select(pool, outcomes, rule="calibrated", n=2 * n)]
    assert sorted(order) == [c.digest for c in pool[6:]]
    values = [x[int(d)] for d in order]
    assert np.mean(values[:30]) < np.quantile(x, 0.1)
    after = values[LONGEST_BATCH : LONGEST_BATCH + 30]
    assert np.mean(after) < np.median(values[LONGEST_BATCH:])


def test_where_nothing_gains_the_best_prediction_is_taken_and_ties_go_to_the_first():
    mean, everyone = np.array([0.3, 0.1, 0.2, 0.1]), np.ones(4, dtype=bool)
    assert _best(np.zeros(4), mean, everyone) == 1
    assert _best(np.zeros(4), mean, everyone & (mean > 0.1)) == 2
    assert _best(np.array([0.0, 0.0, 1.0, 1.0 + 1e-12]), mean, everyone) == 2
    assert _best(np.array([0.0, 0.0, 1.0, 1.1]), mean, everyone) == 3


def test_what_cannot_be_used_is_refused():
    pool, x = pool_of()
    outcomes = first_ones(pool, truth(x), 5)
    with pytest.raises(InvalidInputError, match="'log10_flops' is not; there are: depth, log10_params"):
        select(pool, outcomes, rule="calibrated", n=1, cost="log10_flops")
    with pytest.raises(InvalidInputError, match="given nan for 00000"):
        select(pool, {"00000": math.nan}, rule="calibrated", n=1)
    with pytest.raises(InvalidInputError, match="a cost needs the rule 'calibrated'; given 'params'"):
        select(pool, outcomes, rule="params", n=1, cost="log10_params")
