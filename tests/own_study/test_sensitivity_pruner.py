"""The pruner decides before the first report, by the study alone, and leaves a control group."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.pruners import BasePruner, NopPruner, ThresholdPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

import nas_sens.optuna as no
from nas_sens.core.errors import InvalidInputError
from nas_sens.own_study.decision import is_worth_it
from nas_sens.own_study.experience import outcomes
from nas_sens.own_study.learnt import learnt_from
from tests.own_study.tiny_objective import X, build, end_of, losses, quiet

DECIDED = ("nas_sens:group", "nas_sens:predicted", "nas_sens:predicted_sd")


def searched(n=40, direction="minimize", pruner=None, sign=1.0, **options):
    pruner = pruner or no.SensitivityPruner(NopPruner(), **options)
    study = quiet(direction=direction, sampler=RandomSampler(seed=0), pruner=pruner)

    def objective(trial):
        network = build(trial)
        no.score(trial, network, X)
        if trial.should_prune():
            assert trial.should_prune(), "asked again, it says something else"
            raise optuna.TrialPruned
        return sign * end_of(trial.params)

    study.optimize(objective, n_trials=n)
    return study


def group(trial):
    return trial.user_attrs["nas_sens:group"]


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0), ("minimize", -1.0)])
def test_it_learns_what_is_better_here_and_trains_that(direction, sign):
    study = searched(direction=direction, sign=sign)
    ways = 1.0 if direction == "minimize" else -1.0
    by_group = {}
    for t in study.trials:
        by_group.setdefault(group(t), []).append(ways * sign * end_of(t.params))
    assert [group(t) for t in study.trials[:8]] == ["startup"] * 8
    assert set(by_group) == {"startup", "control", "kept", "pruned"}
    assert np.mean(by_group["kept"]) < np.mean(by_group["pruned"]) - 0.5
    assert 0.2 < len(by_group["kept"]) / (len(by_group["kept"]) + len(by_group["pruned"])) < 0.65


def test_predictions_are_values_of_the_study():
    study = searched(direction="maximize", sign=-1.0)
    later = [t for t in study.trials[20:] if group(t) != "startup"]
    errors = [abs(t.user_attrs["nas_sens:predicted"] + end_of(t.params)) for t in later]
    assert np.median(errors) < 0.5
    assert all(t.user_attrs["nas_sens:predicted_sd"] > 0 for t in later)
    assert not any("nas_sens:predicted" in t.user_attrs for t in study.trials[:8])


def test_states_are_what_the_groups_say():
    for t in searched().trials:
        assert (t.state == TrialState.PRUNED) == (group(t) == "pruned")


@pytest.mark.parametrize(("control", "n_control"), [(0.0, 0), (1.0, 6)])
def test_the_share_of_the_control_group(control, n_control):
    assert sum(group(t) == "control" for t in searched(14, control=control).trials) == n_control


def test_the_control_group_depends_on_seed_and_number_alone():
    first, again, other = (searched(18, control=0.5, seed=s) for s in (0, 0, 1))
    numbers = [[t.number for t in s.trials if group(t) == "control"] for s in (first, again, other)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_machine_that_joins_decides_as_those_that_were_there():
    study = searched(16)
    for t in study.trials[8:]:
        joined = quiet(pruner=no.SensitivityPruner(NopPruner()))
        joined.add_trials(study.trials[: t.number])
        t.user_attrs = {k: v for k, v in t.user_attrs.items() if k not in DECIDED}
        t._trial_id = joined.ask()._trial_id
        assert joined.pruner.prune(joined, t) == (t.state == TrialState.PRUNED)


class Counts(BasePruner):
    def __init__(self):
        self.asked = []

    def prune(self, study, trial):
        self.asked.append((trial.number, trial.last_step))
        return False


def test_after_the_first_report_and_without_a_score_the_base_decides():
    base = Counts()
    study = quiet(pruner=no.SensitivityPruner(base, n_startup=2), sampler=RandomSampler(seed=0))

    def objective(trial):
        network = build(trial)
        if trial.number % 2:
            no.score(trial, network, X)
        trial.should_prune()
        for step, loss in enumerate(losses(trial.params)):
            trial.report(loss, step)
            trial.should_prune()
        return end_of(trial.params)

    study.optimize(objective, n_trials=4)
    reports = [(n, step) for n in range(4) for step in ([None] if n % 2 == 0 else []) + [0, 1, 2]]
    assert base.asked == reports


def test_what_somebody_enqueued_is_trained():
    study = quiet(pruner=no.SensitivityPruner(NopPruner(), keep=0.0, control=0.0), sampler=RandomSampler(seed=0))
    study.add_trials(searched(12).trials)
    study.enqueue_trial({"kind": "linear"})
    trial = study.ask()
    no.score(trial, build(trial), X)
    assert not trial.should_prune()
    assert group(study.trials[-1]) == "enqueued"


def test_nothing_is_pruned_while_all_values_are_alike():
    study = quiet(pruner=no.SensitivityPruner(NopPruner(), n_startup=2, control=0.0))

    def objective(trial):
        no.score(trial, build(trial), X)
        return 1.0 / (not trial.should_prune())

    study.optimize(objective, n_trials=5)
    assert {group(t) for t in study.trials} == {"startup"}


@pytest.mark.parametrize(
    ("options", "text"),
    [({"keep": 1.1}, "keep must be a share"), ({"control": -1}, "control must be"), ({"n_startup": 1}, "at least 2")],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(InvalidInputError, match=text):
        no.SensitivityPruner(**options)


def trial_of(number, values=None, reports=(), state=TrialState.COMPLETE):
    t = create_trial(values=values, state=state, intermediate_values=dict(enumerate(reports)))
    t.number = number
    return t


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_pruned_training_is_worth_what_one_was_that_stood_as_well(sign):
    complete = [
        trial_of(i, [sign * end], [sign * then]) for i, (then, end) in enumerate([(5, 1.0), (7, 2.0), (9, 4.0)])
    ]
    pruned = [
        trial_of(10 + i, reports=r, state=TrialState.PRUNED)
        for i, r in enumerate([[sign * 8], [sign * 20], [math.nan], [], [sign * 7, sign * 6]])
    ]
    found = outcomes([*complete, *pruned], sign)
    keys = {int(key): value for key, value in found.items()}
    assert keys == {0: 1.0, 1: 2.0, 2: 4.0, 10: 3.0, 11: 4.0, 12: math.inf, 14: math.inf}


def test_a_base_that_prunes_teaches_too():
    study = searched(20, pruner=no.SensitivityPruner(ThresholdPruner(upper=3.0)))
    assert any(group(t) == "pruned" for t in study.trials)


@given(st.integers(0, 5000))
def test_one_learns_from_nearly_all_and_seldom_anew(n):
    assert 0 <= n - learnt_from(n) <= n / 8
    assert learnt_from(n) <= learnt_from(n + 1)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30, unique=True), st.floats(0.05, 0.95))
def test_with_one_objective_the_best_share_is_kept(recent, keep):
    rows = np.array([recent]) / 10
    kept = [is_worth_it(np.array([v / 10]), rows, keep) for v in sorted(recent)]
    assert kept == sorted(kept, reverse=True)
    assert abs(sum(kept) - keep * len(recent)) <= 1 + keep
