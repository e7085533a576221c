"""Pruning by Optuna's pruners: the same decisions as in a study of Optuna's own, and what becomes of a pruned one."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

import nas_sens as ns
from nas_sens.core.candidates import CONTROL, TrainedCandidate
from nas_sens.core.figures import Objective
from nas_sens.pipeline.learnt_outcomes import LearntOutcomes
from nas_sens.pipeline.pruning import make_judge, make_pruner
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from tests.stored_candidates import trainings_in

N_EPOCHS = 18
PRUNERS = ("asha", "hyperband", "median")


def record(i: int, curve: tuple[float, ...], status: str = "ok", **values: object) -> TrainedCandidate:
    given = {"params": 1, "flops": 1, "candidate": i, "chosen_by": "pareto", "val_loss": curve[-1], **values}
    return TrainedCandidate(digest=f"{i}", architecture="{}", curve=curve, status=status, **given)


def curves(n: int) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(0)
    return [tuple(level + 1 / np.arange(1, N_EPOCHS + 1)) for level in rng.random(n)]


def decisions_in_a_study(name: str, given: list[tuple[float, ...]]) -> list[int]:
    """Optuna's own way: report, ask, prune; one study throughout. Returns epochs done of each."""
    study = optuna.create_study(study_name="s", direction="minimize", pruner=make_pruner(name, n_epochs=N_EPOCHS))
    done = []
    for curve in given:
        trial = study.ask()
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if trial.should_prune() and epoch < N_EPOCHS:
                break
        done.append(epoch)
        is_pruned = epoch < N_EPOCHS
        study.tell(trial, None if is_pruned else curve[-1], optuna.trial.TrialState(2 if is_pruned else 1))
    return done


@pytest.mark.parametrize("name", PRUNERS)
def test_decisions_are_those_of_a_study_that_was_never_interrupted(name: str) -> None:
    trained: list[TrainedCandidate] = []
    for i, curve in enumerate(curves(20)):
        judge = make_judge(name, trained, study="s", n_epochs=N_EPOCHS)
        n = next((e for e in range(1, N_EPOCHS) if judge(curve[:e])), N_EPOCHS)
        again = make_judge(name, trained, study="s", n_epochs=N_EPOCHS)
        assert n == N_EPOCHS or again(curve[:n])  # a resumed training is judged as if it had not stopped
        trained.append(record(i, curve[:n], "ok" if n == N_EPOCHS else "pruned: after"))
    done = [len(t.curve) for t in trained]
    assert done == decisions_in_a_study(name, curves(20))
    assert 0 < sum(n < N_EPOCHS for n in done) < 20


def test_failed_trainings_do_not_count() -> None:
    failed = [record(i, (float(i),), "diverged: at once") for i in range(9)]
    judge = make_judge("median", failed, study="s", n_epochs=N_EPOCHS)
    assert not any(judge(curves(1)[0][:e]) for e in range(1, N_EPOCHS))


def test_a_training_asks_after_every_epoch_but_the_last(digits: ns.Splits) -> None:
    spec, asked = TrainSpec(epochs=4), []
    network = ns.FCSpec(depth=1, width=4)

    def keep(curve: list[float]) -> bool:
        asked.append(len(curve))
        return False

    whole = train(network, digits, spec, seed=0, prune=keep)
    assert asked == [1, 2, 3]
    pruned = train(network, digits, spec, seed=0, prune=lambda curve: len(curve) == 2)
    assert pruned.status == "pruned: after epoch 2 of 4 others had done better"
    assert pruned.curve == whole.curve[:2]
    assert pruned.state == {}


def test_rules_take_a_pruned_training_for_the_finished_one_of_its_rank() -> None:
    finished = [record(i, (float(i), float(i) / 10), val_error=i / 100) for i in range(5)]
    best, worst = (record(9, (loss,), "pruned: x", val_loss=None) for loss in (-1.0, 7.0))
    middle = record(9, (1.5,), "pruned: x", val_loss=None)
    others = [*finished, best, worst]
    losses, errors = (LearntOutcomes(others, Objective(target)) for target in ("val_loss", "val_error"))
    assert [losses.of(t) for t in (best, middle, worst)] == pytest.approx([0.0, 0.16, 0.4])
    assert errors.of(middle) == pytest.approx(0.016)
    assert LearntOutcomes([best], Objective("val_loss")).of(middle) == float("inf")
    assert losses.of(record(9, (1.5,), "diverged: x")) == float("inf")
    assert errors.of(finished[3]) == 0.03


def test_of_a_maximised_target_outcomes_are_its_own_and_ranks_go_the_other_way() -> None:
    objective = Objective("f1", is_maximized=True)

    def of(i: int, curve: tuple[float, ...], status: str = "ok", f1: float | None = None) -> TrainedCandidate:
        return record(i, curve, status, figures={} if f1 is None else {"f1": f1}, curve_of="f1")

    finished = [of(i, (float(i), float(i)), f1=i / 10) for i in range(5)]
    learnt = LearntOutcomes(finished, objective)
    assert learnt.of(finished[3]) == 0.3
    best, worst = of(8, (9.0,), "pruned: x"), of(9, (-1.0,), "pruned: x")
    assert (learnt.of(best), learnt.of(worst)) == pytest.approx((0.4, 0.0))
    assert learnt.of(of(7, (1.0,), "diverged: x")) == -float("inf")


def test_ranks_of_many_pruned_trainings_are_those_of_all_pairs_and_sorted_once_an_epoch(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    finished = [record(i, tuple(rng.random(9).round(1).tolist()), val_loss=float(rng.random())) for i in range(60)]
    pruned = [
        record(i, tuple(rng.random(n).round(1).tolist()), "pruned: x", val_loss=None) for i, n in enumerate([3, 5] * 40)
    ]
    sorted_at = []
    compared_at = LearntOutcomes._compared_at
    monkeypatch.setattr(
        LearntOutcomes, "_compared_at", lambda self, figure, n: sorted_at.append(n) or compared_at(self, figure, n)
    )
    learnt = LearntOutcomes([*finished, *pruned], Objective("val_loss"))
    outcomes = [t.val_loss for t in finished]
    for t in pruned:
        share = np.mean([other.curve[len(t.curve) - 1] < t.curve[-1] for other in finished])
        assert learnt.of(t) == pytest.approx(np.quantile(outcomes, share))
    assert sorted(sorted_at) == [3, 5]


def study(**train: object) -> ns.StudySpec:
    space = {"depth": [1, 2], "width": {"type": "int", "low": 2, "high": 60}, "init": "he_normal"}
    return ns.StudySpec(
        name="tiny",
        search_space=ns.SearchSpace(name="tiny", families={"fc": space}),
        data=ns.DataSpec(name="digits", train_samples=100),
        score=ns.ScoreSpec(n_inputs=16, seeds=2),
        search=ns.SearchSpec(n_candidates=12),
        select=ns.SelectSpec(rule="random", top_k=7, control=3),
        train=TrainSpec(**{"epochs": 8, "seeds": 1, "learning_rate": 1e-2, "pruner": "median", **train}),
    )


def test_pruned_trainings_are_stored_and_never_ranked(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    result = ns.search(study(), storage=url)
    pruned = [t for t in result.trials if t.is_pruned]
    assert pruned
    assert len(result.trials) == 10
    assert [t.is_ok for t in result.trials] == [True] * (10 - len(pruned)) + [False] * len(pruned)
    assert not any(t.chosen_by == CONTROL for t in pruned)
    assert all(2 <= len(t.curve) < 8 and t.val_loss is None for t in pruned)
    trials = trainings_in(url, "tiny")
    assert sum(t.state == optuna.trial.TrialState.PRUNED for t in trials) == len(pruned)
    assert not (tmp_path / "a_artifacts" / "checkpoints").exists()
    stored = read_result(StudyStorage(url), "tiny")
    assert stored == result
