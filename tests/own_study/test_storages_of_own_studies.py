"""The same study, whichever of Optuna's storages it is in: also a file of several processes, and a server."""

from __future__ import annotations

import socket
import warnings
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

import nas_sens.optuna as no
from tests.own_study.tiny_objective import X, build, losses, quiet

N_TRIALS = 12


def objective(trial):
    no.score(trial, build(trial), X)
    if trial.should_prune():
        raise optuna.TrialPruned
    for step, loss in enumerate(losses(trial.params)):
        trial.report(loss, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


def searched(storage, kind):
    sampler = (
        no.SensitivitySampler(build, X, n_screen=6, seed=0) if kind == "sampler" else optuna.samplers.TPESampler(seed=0)
    )
    study = quiet(storage=storage, sampler=sampler, pruner=no.SensitivityPruner(n_startup=3))
    no.enqueue(study, {}, build, X, n_pool=10, n=2)
    study.optimize(objective, n_trials=N_TRIALS)
    return study


def told(study):
    return [(t.state, t.params, t.value, t.intermediate_values, t.user_attrs) for t in study.get_trials()]


@pytest.fixture
def server():
    """An Optuna server in this process, with a study database in memory behind it."""
    grpc = pytest.importorskip("grpc")
    from optuna.storages import GrpcStorageProxy
    from optuna.storages._grpc.server import make_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        there = make_server(InMemoryStorage(), "127.0.0.1", port, pool)
        there.start()
        proxy = GrpcStorageProxy(host="127.0.0.1", port=port)
        proxy.wait_server_ready(timeout=20)
        yield proxy
        proxy.close()
        there.stop(grace=None).wait()
    assert grpc


def opened(name, tmp_path, request):
    if name == "journal":
        return JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    if name == "sqlite":
        return RDBStorage(f"sqlite:///{tmp_path}/study.db")
    return request.getfixturevalue("server")


@pytest.mark.parametrize("kind", ["pruner", pytest.param("sampler", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["journal", "sqlite", "server"])
def test_a_study_is_the_same_in_every_storage(name, kind, tmp_path, request):
    expected = searched(InMemoryStorage(), kind)
    study = searched(opened(name, tmp_path, request), kind)
    assert told(study) == told(expected)
    assert len(study.trials) == N_TRIALS
    assert {t.user_attrs["nas_sens:group"] for t in study.trials} >= {"enqueued", "startup"}
    assert any(t.user_attrs["nas_sens:group"] in ("kept", "pruned") for t in study.trials)


def test_threads_may_share_a_study(tmp_path):
    study = quiet(storage=RDBStorage(f"sqlite:///{tmp_path}/study.db"), pruner=no.SensitivityPruner(n_startup=3))
    study.optimize(objective, n_trials=8, n_jobs=2)
    assert all("nas_sens:group" in t.user_attrs for t in study.trials)
    assert not [t for t in study.trials if t.state.name == "FAIL"]
