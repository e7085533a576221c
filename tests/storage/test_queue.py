"""The queue of trainings: taken once, given up when nobody gives a sign of life, and open to plain Optuna.

Everything is asked of both ways of storing: past Optuna's interface, and by it.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.storage.leases import GRACE_SECONDS
from nas_sens.storage.optuna_log import expected_experiments
from nas_sens.storage.queue import Claim
from nas_sens.storage.study_reader import MAX_RETRIES
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import (
    ATTRIBUTES,
    DISTRIBUTIONS,
    new_study,
    scored,
    store_training,
    trained,
    trainings_in,
)

N = 5  # candidates
FOREVER = 36_000.0  # a grace time whose heartbeats come hours apart


@pytest.fixture(params=[True, False], ids=["bulk", "optuna"])
def is_bulk(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def storage(tmp_path: Path, is_bulk: bool) -> StudyStorage:
    return new_study(f"sqlite:///{tmp_path}/s.db", n=N, bulk=is_bulk)


@pytest.fixture
def another(storage: StudyStorage, is_bulk: bool) -> Callable[..., StudyStorage]:
    """Open the same database as another process would."""
    return lambda **settings: StudyStorage(storage.url, bulk=is_bulk, **settings)


def planned(storage: StudyStorage, n: int = 1, **values: object) -> list[TrainedCandidate]:
    return [trained(c, val_loss=None, **values) for c in storage.scored("study")[:n]]


def enqueue(storage: StudyStorage, n: int = 1) -> list[TrainedCandidate]:
    records = planned(storage, n)
    assert storage.enqueue("study", records, seen=storage.trainings("study")) == n
    return records


def taken(storage: StudyStorage) -> Claim:
    claim = storage.take("study")
    assert claim is not None
    return claim


def silence(storage: StudyStorage, seconds: float = GRACE_SECONDS + 10) -> None:
    """Let the last heartbeat of all trials be so long ago, by the database's clock."""
    with sqlite3.connect(storage.url.removeprefix("sqlite:///"), timeout=60) as connection:
        connection.execute(f"UPDATE trial_heartbeats SET heartbeat = datetime('now', '-{seconds} seconds')")


def retries(trial: FrozenTrial) -> tuple[int | None, list[int]]:
    """What Optuna's own functions say of a trial that repeats others."""
    with expected_experiments():
        return (
            RetryHeartbeatStaleTrialCallback.retried_trial_number(trial),
            RetryHeartbeatStaleTrialCallback.retry_history(trial),
        )


def states(storage: StudyStorage) -> list[str]:
    return [t.state.name for t in trainings_in(storage.url)]


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.02)


# -- waiting ----------------------------------------------------------------------------------------------------------


def test_what_waits_says_what_is_to_be_trained_and_why(storage: StudyStorage) -> None:
    records = planned(
        storage, 2, reason="because", round=2, round_end=4, predicted_mean=0.2, predicted_sd=0.1, chosen_by="calibrated"
    )
    assert storage.enqueue("study", records, seen=storage.trainings("study")) == 2
    underway = storage.trainings("study").underway
    assert [u.training for u in underway] == [replace(r, number=N + i) for i, r in enumerate(records)]
    assert not any(u.is_running or u.worker or u.curve for u in underway)
    for i, trial in enumerate(trainings_in(storage.url)):
        assert (trial.state, trial.value, trial.datetime_start) == (TrialState.WAITING, None, None)
        assert trial.params == {"width": i + 1}
        assert trial.distributions == DISTRIBUTIONS
        assert trial.system_attrs == {"fixed_params": {"width": i + 1}}
        wanted = {"digest": records[i].digest, "architecture": records[i].architecture, "candidate": i, "round": 2}
        wanted |= {"chosen_by": "calibrated", "reason": "because", "round_end": 4, "predicted_mean": 0.2}
        assert wanted.items() <= trial.user_attrs.items()
        assert not {"status", "worker"} & set(trial.user_attrs)


def test_nothing_is_planned_if_somebody_added_trials_meanwhile(
    storage: StudyStorage, another: Callable[..., StudyStorage]
) -> None:
    seen, other = storage.trainings("study"), another()
    enqueue(other)
    assert storage.enqueue("study", planned(storage, 2), seen=seen) == 0
    assert storage.add_trained("study", [trained(c) for c in storage.scored("study")], seen=seen) == 0
    assert len(storage.trainings("study").underway) == 1
    seen = storage.trainings("study")
    other.add_scored("study", [(scored(50), DISTRIBUTIONS)])
    assert storage.enqueue("study", planned(storage, 2), seen=seen) == 0
    seen = storage.trainings("study")
    optuna.load_study(study_name="study", storage=storage.url).enqueue_trial({"width": 7})  # without attributes
    assert storage.enqueue("study", planned(storage, 2), seen=seen) == 0
    assert storage.enqueue("study", planned(storage, 2), seen=storage.trainings("study")) == 2
    assert len(storage.trainings("study").underway) == 3


def test_trials_of_others_do_not_keep_it_from_planning(storage: StudyStorage) -> None:
    study = optuna.load_study(study_name="study", storage=storage.url)
    study.ask()
    study.optimize(lambda trial: trial.suggest_float("theirs", 0, 1), n_trials=1)
    assert storage.trainings("study").trained == storage.trainings("study").underway == []
    enqueue(storage, 2)
    assert taken(storage).training.candidate == 0
    assert len(storage.scored("study")) == N


def test_a_training_of_a_table_is_stored_at_once(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    records = [replace(r, val_loss=0.5, curve=(1.0, 0.5)) for r in planned(storage, 2)]
    assert storage.add_trained("study", records, seen=storage.trainings("study")) == 2
    assert another().trained("study") == [replace(r, number=N + i) for i, r in enumerate(records)]
    assert storage.take("study") is None
    assert [(t.state, t.value, t.params) for t in trainings_in(storage.url)] == [
        (TrialState.COMPLETE, 0.5, {"width": i}) for i in (1, 2)
    ]


# -- taking -----------------------------------------------------------------------------------------------------------


def test_each_is_taken_once_and_in_order(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    enqueue(storage, N)
    storages = [another(worker="one"), another(worker="other")]
    claims = [taken(storages[i % 2]) for i in range(N)]
    assert [j.training.number for j in claims] == list(range(N, 2 * N))
    assert [s.take("study") for s in storages] == [None, None]
    assert states(storage) == ["RUNNING"] * N
    assert [t.user_attrs["worker"] for t in trainings_in(storage.url)] == ["one", "other", "one", "other", "one"]
    underway = storage.trainings("study", live=True).underway
    assert [(u.is_running, u.worker) for u in underway[:2]] == [(True, "one"), (True, "other")]
    assert all(u.started is not None for u in underway)


def test_processes_share_them_out_without_overlap(storage: StudyStorage, is_bulk: bool, tmp_path: Path) -> None:
    storage.add_scored("study", [(scored(i), DISTRIBUTIONS) for i in range(N + 1, 31)])
    enqueue(storage, 30)
    code = """
import os, sys, time
from nas_sens.storage.study_storage import StudyStorage
storage = StudyStorage(sys.argv[1], bulk=sys.argv[2] == "True")
storage.trainings("study")
print("ready", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.001)
numbers = []
while (claim := storage.take("study")) is not None:
    numbers.append(claim.training.number)
print(*numbers)
"""
    command = [sys.executable, "-c", code, storage.url, str(is_bulk), str(tmp_path / "go")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.stdout.readline() for p in processes if p.stdout] == ["ready\n"] * 2
    (tmp_path / "go").touch()
    numbers = [[int(n) for n in p.communicate(timeout=120)[0].split()] for p in processes]
    assert sorted(numbers[0] + numbers[1]) == list(range(30, 60))
    assert all(found == sorted(found) for found in numbers)


def test_what_is_put_back_waits_again(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    enqueue(storage)
    claim = taken(storage)
    storage.put_back(claim)
    assert states(storage) == ["WAITING"]
    assert not storage.trainings("study").underway[0].is_running
    silence(storage)
    another().fail_stale("study")
    assert states(storage) == ["WAITING"], "what waits needs no sign of life"
    again = taken(another())
    assert again.training == claim.training
    another().fail_stale("study")
    assert states(storage) == ["RUNNING"], "the heartbeat of who had it before is not that of who has it now"
    storage.put_back(taken_over := Claim(claim.trial_id, claim.training))
    assert taken_over.training == claim.training
    assert storage.finish("study", taken(storage), trained(storage.scored("study")[0]), {}) is not None


# -- running ----------------------------------------------------------------------------------------------------------


def test_its_curve_is_seen_while_it_runs(
    storage: StudyStorage, another: Callable[..., StudyStorage], is_bulk: bool
) -> None:
    worker = another(report_seconds=0.05, worker="w")
    enqueue(worker)
    claim = taken(worker)

    def curve() -> dict[int, float]:
        return trainings_in(storage.url)[0].intermediate_values

    claim.report(1, 3.0)
    claim.report(2, float("inf"))
    until(lambda: curve() == {1: 3.0, 2: float("inf")})
    claim.report(2, 2.0)  # the mean over seeds becomes another one with each seed
    claim.report(3, 1.0)
    until(lambda: curve() == {1: 3.0, 2: 2.0, 3: 1.0})
    (live,) = storage.trainings("study", live=True).underway
    assert (live.curve, live.worker, live.is_running) == ((3.0, 2.0, 1.0), "w", True)
    final = (2.5, 1.5) if is_bulk else (2.5, 1.5, 0.5)  # Optuna takes no value back
    record = trained(storage.scored("study")[0], curve=final)
    assert worker.finish("study", claim, record, {}) == replace(record, number=N)
    assert curve() == dict(enumerate(final, 1)), "what is stored at the end is what counts"


def test_a_worker_that_lives_keeps_its_training(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    worker, hasty = another(grace_seconds=3.0), another(grace_seconds=3.0)
    enqueue(worker)
    claim = taken(worker)
    silence(storage, 3600)
    until(lambda: not stale(storage, 3))  # by a heartbeat of the worker's thread
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        hasty.fail_stale("study")
        time.sleep(0.2)
    assert states(storage) == ["RUNNING"]
    assert not claim.is_lost


def stale(storage: StudyStorage, seconds: float) -> int:
    """Return the number of trials without a heartbeat for so long."""
    with sqlite3.connect(storage.url.removeprefix("sqlite:///"), timeout=60) as connection:
        query = f"SELECT count(*) FROM trial_heartbeats WHERE heartbeat < datetime('now', '-{seconds} seconds')"
        return int(connection.execute(query).fetchone()[0])


# -- given up ---------------------------------------------------------------------------------------------------------


def test_what_gives_no_sign_of_life_is_repeated(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    worker = another(grace_seconds=FOREVER)
    enqueue(storage)
    taken(worker)
    silence(storage, GRACE_SECONDS - 20)
    storage.fail_stale("study")
    assert states(storage) == ["RUNNING"]
    history = []
    for number in (N, N + 1, N + 2):
        silence(storage)
        storage.fail_stale("study")
        assert states(storage)[-1] == "FAIL"
        assert storage.trainings("study").trained == storage.trainings("study").underway == []
        history.append(number)
        enqueue(storage)
        again = trainings_in(storage.url)[-1]
        assert again.number == number + 1
        assert retries(again) == (N, history)
        assert again.system_attrs["fixed_params"] == again.params == {"width": 1}
        assert taken(worker).training.number == number + 1
    assert storage.finish("study", Claim(0, planned(storage)[0], is_lost=True), planned(storage)[0], {}) is None
    assert another().trainings("study").underway[0].training.number == N + 3


def test_what_costs_too_many_workers_is_a_failed_training(
    storage: StudyStorage, another: Callable[..., StudyStorage]
) -> None:
    worker = another(grace_seconds=FOREVER)
    for i in range(1 + MAX_RETRIES):
        assert storage.trained("study") == []
        enqueue(storage)
        taken(worker)
        silence(storage)
        storage.fail_stale("study")
        assert states(storage) == ["FAIL"] * (i + 1)
    (record,) = another().trained("study")
    assert storage.trained("study") == [record]
    assert not record.is_ok
    assert record.status == f"failed: {1 + MAX_RETRIES} workers were lost that trained it"
    assert (record.candidate, record.number) == (0, N + MAX_RETRIES)


def test_who_comes_back_too_late_stores_nothing(
    storage: StudyStorage, another: Callable[..., StudyStorage], tmp_path: Path
) -> None:
    late = another(grace_seconds=FOREVER)
    enqueue(storage)
    claim = taken(late)
    silence(storage)
    storage.fail_stale("study")
    enqueue(storage)
    next_one = taken(storage)
    (tmp_path / "weights").write_bytes(b"late")
    record = trained(storage.scored("study")[0], curve=(2.0, 1.0))
    for status in ("ok", "diverged"):
        assert late.finish("study", claim, replace(record, status=status), {"w": tmp_path / "weights"}) is None
    failed, running = trainings_in(storage.url)
    assert (failed.state, failed.intermediate_values) == (TrialState.FAIL, {})
    assert not failed.system_attrs.keys() - {"fixed_params"}, "no artifact belongs to it"
    assert "status" not in failed.user_attrs
    assert running.state == TrialState.RUNNING
    late.put_back(claim)
    assert states(storage) == ["FAIL", "RUNNING"]
    stored = storage.finish("study", next_one, record, {})
    assert stored is not None
    assert late.trained("study") == [stored] == [replace(record, number=N + 1)]


def test_a_worker_learns_that_its_training_was_given_up(
    storage: StudyStorage, another: Callable[..., StudyStorage]
) -> None:
    worker = another(grace_seconds=FOREVER, report_seconds=0.05)
    enqueue(worker)
    claim = taken(worker)
    silence(storage)
    storage.fail_stale("study")
    assert not claim.is_lost
    claim.report(1, 2.0)
    until(lambda: claim.is_lost)
    assert trainings_in(storage.url)[0].intermediate_values == {}
    assert worker.finish("study", claim, trained(storage.scored("study")[0]), {}) is None
    assert states(storage) == ["FAIL"]


def test_a_worker_that_has_ended_is_given_up_at_once(
    storage: StudyStorage, another: Callable[..., StudyStorage]
) -> None:
    ended, like_it = another(worker="w1", grace_seconds=FOREVER), another(worker="w10", grace_seconds=FOREVER)
    enqueue(storage, 3)
    taken(ended)
    taken(like_it)
    assert ended.leases.take("study", "scores 1:0")
    assert like_it.leases.take("study", "scores 1:1")
    assert storage.fail_worker("study", "w1") == 1
    assert states(storage) == ["FAIL", "RUNNING", "WAITING"]
    assert storage.leases.take("study", "scores 1:0")
    assert not storage.leases.take("study", "scores 1:1")
    assert storage.fail_worker("study", "w1") == 0
    enqueue(storage)
    assert retries(trainings_in(storage.url)[-1]) == (N, [N])


def test_a_running_trial_without_heartbeat_has_no_worker(tmp_path: Path) -> None:
    storage = new_study(f"sqlite:///{tmp_path}/s.db", n=N)
    enqueue(storage, 3)
    taken(StudyStorage(storage.url, grace_seconds=FOREVER))
    optuna.load_study(study_name="study", storage=storage.url).ask()
    taken(StudyStorage(storage.url, grace_seconds=FOREVER))
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("DELETE FROM trial_heartbeats WHERE trial_heartbeat_id = 1")
    storage.fail_stale("study")
    assert states(storage) == ["FAIL", "RUNNING", "RUNNING"], "somebody's own trials have no heartbeat, either"


def test_what_is_stored_already_is_not_stored_again(
    storage: StudyStorage, another: Callable[..., StudyStorage], tmp_path: Path
) -> None:
    """As if the connection had been cut after the transaction, before its end was known."""
    (tmp_path / "weights").write_bytes(b"w")
    for i, status in enumerate(("ok", "diverged", "pruned: after epoch 2")):
        record = trained(storage.scored("study")[i], status=status, curve=(3.0, 2.0))
        storage.enqueue("study", [record], seen=storage.trainings("study"))
        claim = taken(storage)
        first = storage.finish("study", claim, record, {"w": tmp_path / "weights"})
        before = trainings_in(storage.url)[-1]
        assert (
            storage.finish("study", claim, record, {"w": tmp_path / "weights"})
            == first
            == replace(record, number=N + i)
        )
        assert trainings_in(storage.url)[-1] == before
    assert states(storage) == ["COMPLETE", "FAIL", "PRUNED"]
    assert [t.status for t in another().trained("study")] == ["ok", "diverged", "pruned: after epoch 2"]


# -- plain Optuna -----------------------------------------------------------------------------------------------------


def test_optunas_ask_and_tell_train_what_waits(storage: StudyStorage, another: Callable[..., StudyStorage]) -> None:
    storage.create("errors", ATTRIBUTES, objective="val_error")
    storage.add_scored("errors", [(scored(i), DISTRIBUTIONS) for i in (11, 12, 13, 14)])
    sources = storage.scored("errors")
    records = [trained(c, val_loss=None) for c in sources]
    assert storage.enqueue("errors", records, seen=storage.trainings("errors")) == 4
    study = optuna.load_study(study_name="errors", storage=storage.url)
    trials = [study.ask() for _ in range(3)]
    assert [t.suggest_int("width", 1, 100) for t in trials] == [11, 12, 13]
    assert [t.user_attrs["architecture"] for t in trials] == [c.architecture for c in sources[:3]]
    ours = another().take("errors")
    assert ours is not None
    assert ours.training.candidate == 3
    trials[0].report(0.9, 1)
    study.tell(trials[0], 0.25)
    study.tell(trials[1], state=TrialState.PRUNED)
    study.tell(trials[2], state=TrialState.FAIL)
    for reader in (storage, another()):
        done, pruned = reader.trained("errors")
        assert (done.val_error, done.val_loss, done.status, done.curve) == (0.25, None, "ok", (0.9,))
        assert (done.digest, done.candidate, done.number, done.chosen_by) == (sources[0].digest, 0, 4, "random")
        assert pruned.is_pruned
        assert pruned.candidate == 1
        assert [u.training.candidate for u in reader.trainings("errors").underway] == [3]
    assert study.best_trial.number == 4
    assert storage.enqueue("errors", records[2:3], seen=storage.trainings("errors")) == 1
    assert retries(study.trials[-1]) == (6, [6]), "what failed is done again"


def test_optunas_optimize_trains_what_waits_and_then_its_own(storage: StudyStorage) -> None:
    enqueue(storage, 3)
    study = optuna.load_study(study_name="study", storage=storage.url)
    study.optimize(lambda trial: trial.suggest_int("width", 1, 100) / 100, n_trials=4)
    assert [t.val_loss for t in storage.trained("study")] == [0.01, 0.02, 0.03]
    assert len(study.trials) == N + 4
    enqueue(storage, 1)
    assert taken(storage).training.candidate == 0


def test_the_best_trial_is_a_training(storage: StudyStorage) -> None:
    for i, value in enumerate((0.5, 0.2, 0.7)):
        store_training(storage, trained(storage.scored("study")[i], val_loss=value))
    study = optuna.load_study(study_name="study", storage=storage.url)
    assert (study.best_value, study.best_params) == (0.2, {"width": 2})
    assert study.best_trial.user_attrs["candidate"] == 1
    assert study.metric_names == ["val_loss"]
