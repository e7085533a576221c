"""The main job on real data, small: search, resume, refusal, determinism, failures."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

import nas_sens as ns
from nas_sens.core.candidates import CONTROL
from nas_sens.pipeline.plan import plan_training
from nas_sens.pipeline.pool import Pool
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import trainings_in
from tests.tiny_study import FC, comparable, tiny, url


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ns.SearchResult, str]:
    storage = url(tmp_path_factory.mktemp("whole"))
    return ns.search(tiny(), storage=storage), storage


def test_search_stores_what_the_contract_says(whole: tuple[ns.SearchResult, str]) -> None:
    result, storage = whole
    assert optuna.get_all_study_names(storage) == ["tiny"]
    study = optuna.load_study(study_name="tiny", storage=storage)
    trained = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    scored = [t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    assert len(study.trials) == 11
    assert len(scored) == 8
    assert len({t.user_attrs["digest"] for t in scored}) == 8
    for trial in scored:
        spec = ns.load_spec(trial.user_attrs["architecture"])
        assert spec.digest == trial.user_attrs["digest"]
        assert (spec.depth, spec.width) == (trial.params["depth"], trial.params["width"])
        assert math.isfinite(trial.user_attrs["log10_sensitivity"])
        assert trial.value is None
        assert not trial.intermediate_values
        assert {"params", "flops", "stderr", "estimator", "feasible", "status"} <= set(trial.user_attrs)
    assert len(trained) == 3
    for trial in trained:
        attributes = trial.user_attrs
        assert trial.value == attributes["val_error"]
        assert len(trial.intermediate_values) == 2
        assert trial.intermediate_values[2] == pytest.approx(attributes["val_loss"], rel=1e-6)
        source = study.trials[attributes["candidate"]]
        assert source.user_attrs["digest"] == attributes["digest"]
        assert source.params == trial.params
        assert attributes["log10_sensitivity_before"] == source.user_attrs["log10_sensitivity"]
        gap = attributes["test_error"] - attributes["train_error"]
        assert attributes["generalization_gap"] == pytest.approx(gap)
        assert attributes["predicted_loss"] > 0
    assert sorted(t.user_attrs["chosen_by"] for t in trained) == [CONTROL, "pareto", "pareto"]
    assert study.metric_names == ["val_error"]
    assert study.best_value == min(t.val_error for t in result.trials)
    assert study.best_trial in trained
    assert list(result.frame()["val_loss"]) == sorted(result.frame()["val_loss"])


def test_a_second_run_does_nothing_again(whole: tuple[ns.SearchResult, str]) -> None:
    result, storage = whole
    again = ns.search(tiny(), storage=storage)
    assert again == result


def test_another_process_gets_the_same_study(whole: tuple[ns.SearchResult, str], tmp_path: Path) -> None:
    code = (
        "import sys, nas_sens as ns; from tests.tiny_study import tiny, comparable;"
        "print(comparable(ns.search(tiny(), storage=sys.argv[1])))"
    )
    # Results are promised for the same threads and instructions; nothing else of the environment may matter.
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    names += ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")  # see `make test-processors`
    processor = {name: os.environ[name] for name in names if name in os.environ}
    run = subprocess.run(
        [sys.executable, "-c", code, url(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**processor, "PYTHONHASHSEED": "123", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip().splitlines()[-1] == str(comparable(whole[0]))


def test_enlarging_a_study_keeps_what_it_has(tmp_path: Path) -> None:
    first = ns.search(tiny(), storage=url(tmp_path))
    second = ns.search(tiny(), storage=url(tmp_path), n_candidates=12, top_k=3)
    assert second.candidates[:8] == first.candidates
    assert len(second.candidates) == 12
    assert {t.digest for t in first.trials} < {t.digest for t in second.trials}
    assert len(second.trials) == 4
    fresh = ns.search(tiny(), storage=url(tmp_path, "fresh"), n_candidates=12, top_k=3)
    assert comparable(fresh)[0] == comparable(second)[0]


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"score": ns.ScoreSpec(n_inputs=32, seeds=2, noise_std=0.2)}, ["protocol", "score.noise_std: 0.1", "0.2"]),
        ({"search": ns.SearchSpec(n_candidates=8, seed=1)}, ["protocol", "search.seed: 0 stored, 1 given"]),
        ({"train": ns.TrainSpec(epochs=3, seeds=2)}, ["protocol", "train.epochs: 2 stored, 3 given"]),
        ({"data": ns.DataSpec(name="digits", train_samples=50)}, ["protocol", "data.train_samples: 100 stored"]),
        (
            {"search_space": ns.SearchSpace(name="tiny", families={"fc": {**FC, "width": 9}})},
            ["search space", "digest", "families.fc.width"],
        ),
    ],
)
def test_resuming_under_another_declaration_is_refused(
    whole: tuple[ns.SearchResult, str], changes: dict[str, object], texts: list[str]
) -> None:
    result, storage = whole
    with pytest.raises(ns.InvalidInputError) as error:
        ns.search(tiny(**changes), storage=storage)
    for text in [*texts, "stored", "given", "--name"]:
        assert text in str(error.value)
    assert read_result(StudyStorage(storage), "tiny") == result


def test_changed_data_under_the_same_name_are_refused(tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.random((100, 6)), np.arange(100) % 2
    np.savez(tmp_path / "d.npz", x=x, y=y)
    spec = tiny(data=ns.DataSpec(name=f"npz:{tmp_path / 'd.npz'}"), search=ns.SearchSpec(n_candidates=2))
    session = open_study(spec, storage=url(tmp_path))
    score_candidates(session)
    np.savez(tmp_path / "d.npz", x=x + 1, y=y)
    with pytest.raises(ns.InvalidInputError, match="fingerprint"):
        open_study(spec, storage=url(tmp_path))


def test_a_study_that_was_scored_on_other_inputs_is_read_but_does_not_go_on(tmp_path: Path) -> None:
    session = open_study(tiny(), storage=url(tmp_path))
    score_candidates(session)
    with sqlite3.connect(tmp_path / "a.db") as database:  # as older versions left it
        database.execute("DELETE FROM study_user_attributes WHERE key = 'score_inputs'")
    with pytest.raises(ns.InvalidInputError, match=r"scored by an older nas_sens on other inputs.*--name"):
        open_study(tiny(), storage=url(tmp_path))
    assert read_result(StudyStorage(url(tmp_path)), "tiny").candidates


def test_a_study_of_other_random_networks_does_not_go_on_unless_it_drew_none(tmp_path: Path) -> None:
    for estimator in ("monte_carlo", "closed_form"):
        spec = tiny(name=estimator, score=ns.ScoreSpec(estimator=estimator, seeds=2, n_inputs=16))
        session = open_study(spec, storage=url(tmp_path))
        score_candidates(session)
        with sqlite3.connect(tmp_path / "a.db") as database:  # as older versions left it
            database.execute("DELETE FROM study_user_attributes WHERE key = 'score_weights'")
        if estimator == "closed_form":
            again = open_study(spec, storage=url(tmp_path))
            assert again.storage.attributes(estimator)["score_weights"]
        else:
            with pytest.raises(ns.InvalidInputError, match=r"random networks had other weights.*--name"):
                open_study(spec, storage=url(tmp_path))
            assert read_result(StudyStorage(url(tmp_path)), estimator).candidates


def test_training_protocol_may_change_before_anything_is_trained(tmp_path: Path) -> None:
    session = open_study(tiny(), storage=url(tmp_path))
    score_candidates(session)
    result = ns.search(tiny(train=ns.TrainSpec(epochs=1, seeds=1)), storage=url(tmp_path))
    assert {t.n_seeds for t in result.trials} == {1}
    assert result.protocol["train"]["epochs"] == 1


def test_dead_overflowing_and_infeasible_candidates_fail_and_the_search_goes_on(tmp_path: Path) -> None:
    space = ns.SearchSpace(
        name="hard",
        families={"fc": {"depth": [1, 2, 60], "width": [8, 400], "init": "standard_normal", "init_scale": [0.0, 1.0]}},
        constraints={"params": {"max": 30_000_000}, "width": {"max": 399}},
    )
    wide = ns.SearchSpace(name="wide", families={"fc": {**space.families["fc"], "width": 200, "depth": [1, 2, 340]}})
    for name, declared in (("hard", space), ("wide", wide)):
        spec = tiny(
            name=name,
            search_space=declared,
            score=ns.ScoreSpec(estimator="monte_carlo", probe_init="own", n_inputs=16, seeds=2),
            search=ns.SearchSpec(n_candidates=12),
            train=ns.TrainSpec(epochs=1, seeds=1),
        )
        result = ns.search(spec, storage=url(tmp_path))
        study = optuna.load_study(study_name=name, storage=url(tmp_path))
        by_state = {s: [t for t in study.trials if t.state == s] for s in optuna.trial.TrialState}
        failed = by_state[optuna.trial.TrialState.FAIL]
        dead = [t for t in failed if t.user_attrs["status"].startswith("dead")]
        assert dead
        assert all(t.params["init_scale"] == 0 for t in dead)
        assert {t.user_attrs["feasible"] for t in dead} == {True}
        if name == "hard":
            infeasible = [t for t in failed if not t.user_attrs["feasible"]]
            assert {t.params["width"] for t in infeasible} == {400}
            assert "width = 400 is above the maximum of 399" in infeasible[0].user_attrs["status"]
            assert "log10_sensitivity" not in infeasible[0].user_attrs
        else:
            overflow = [t for t in failed if t.user_attrs["status"].startswith("non-finite")]
            assert [t.params["depth"] for t in overflow] == [340]
        ok = by_state[optuna.trial.TrialState.PRUNED]
        assert ok
        assert all(
            t.params["init_scale"] == 1 and math.isfinite(t.user_attrs["log10_sensitivity"])
            for t in (*ok, *by_state[optuna.trial.TrialState.COMPLETE])
            if "feasible" in t.user_attrs
        )
        failed_digests = {t.user_attrs["digest"] for t in failed}
        assert not failed_digests & {t.digest for t in result.trials}


def test_a_diverging_training_is_a_failed_trial_and_never_ranked(tmp_path: Path) -> None:
    # Saturated tanh units and weights near the largest float32: the logits overflow whatever the first step does.
    space = ns.SearchSpace(name="wide", families={"fc": {"depth": [1, 2], "width": [64, 96], "activation": "tanh"}})
    train = ns.TrainSpec(epochs=3, seeds=1, optimizer="sgd", learning_rate=3e38)
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=4), train=train)
    result = ns.search(spec, storage=url(tmp_path))
    assert all(t.status.startswith("diverged") for t in result.trials)
    with pytest.raises(ns.InvalidInputError, match="no trained candidate"):
        _ = result.best
    trials = trainings_in(url(tmp_path), "tiny")
    assert {t.state for t in trials} == {optuna.trial.TrialState.FAIL}


def test_a_space_that_nothing_satisfies_is_one_clear_error(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="none", families={"fc": FC}, constraints={"params": {"max": 1}})
    spec = tiny(search_space=space)
    with pytest.raises(ns.InvalidInputError, match=r"no candidate .*params must be at most 1, the smallest .* 310"):
        open_study(spec, storage=url(tmp_path))
    assert not list(tmp_path.iterdir()), "something was written"


def test_a_space_that_hardly_anything_satisfies_is_given_up(tmp_path: Path) -> None:
    fc = {"depth": 1, "width": {"type": "int", "low": 1, "high": 5000}}
    space = ns.SearchSpace(name="hardly", families={"fc": fc}, constraints={"params": {"max": 5000}})
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=50, sampler="random"))
    session = open_study(spec, storage=url(tmp_path), settings=Settings(infeasible_in_a_row=20))
    with pytest.raises(ns.InvalidInputError, match=r"in a row were infeasible"):
        score_candidates(session)


def test_an_exhausted_space_ends_the_sampling(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="few", families={"fc": {"depth": [1, 2], "width": [4, 8]}})
    result = ns.search(tiny(search_space=space, search=ns.SearchSpec(n_candidates=50)), storage=url(tmp_path))
    assert len(result.candidates) == 4
    assert result.protocol["search"]["sampler"] == "enumerate"


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "nsga2", "gp"])
def test_every_sampler_resumes_where_it_was(tmp_path: Path, sampler: str) -> None:
    spec = tiny(search=ns.SearchSpec(n_candidates=12, sampler=sampler))  # the first 10 are random with most of them
    part = replace(spec, search=replace(spec.search, n_candidates=6))
    for each in (part, spec):
        score_candidates(open_study(each, storage=url(tmp_path)))
    score_candidates(open_study(spec, storage=url(tmp_path, "b")))
    a, b = (StudyStorage(url(tmp_path, n)).scored("tiny") for n in ("a", "b"))
    assert [c.digest for c in a] == [c.digest for c in b]
    assert [c.log10_sensitivity for c in a] == [c.log10_sensitivity for c in b]


def test_trained_candidates_are_those_of_the_plan(whole: tuple[ns.SearchResult, str]) -> None:
    result, _ = whole
    plan = plan_training(tiny(), Pool(result.candidates), [])
    assert sorted((p.candidate.digest, p.chosen_by) for p in plan) == sorted(
        (t.digest, t.chosen_by) for t in result.trials
    )
    assert plan_training(tiny(), Pool(result.candidates), list(result.trials)) == []


def test_selection_does_not_look_at_test_figures(whole: tuple[ns.SearchResult, str]) -> None:
    result, _ = whole
    spec = replace(tiny(), select=replace(tiny().select, top_k=4))
    honest = plan_training(spec, Pool(result.candidates), list(result.trials))
    swapped = [replace(t, test_error=1 - (t.test_error or 0), test_loss=99.0) for t in result.trials]
    assert plan_training(spec, Pool(result.candidates), swapped) == honest


def test_weights_in_the_store_reproduce_the_stored_figures(whole: tuple[ns.SearchResult, str]) -> None:
    import torch

    result, storage = whole
    splits = ns.load_data(tiny().data)
    for rank, trial in enumerate(result.trials, 1):
        model = ns.load_model(storage, "tiny", rank=rank)
        assert not model.training
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(splits.x_val), splits.y_val).item()
        # The weights of the better seed are kept: its loss is at most the mean over seeds.
        assert loss <= trial.val_loss + 1e-6
        sd = trial.val_loss_sd or 0.0
        assert loss == pytest.approx(trial.val_loss - sd / math.sqrt(2), rel=1e-5)


def test_protocol_is_stored_with_the_study(whole: tuple[ns.SearchResult, str]) -> None:
    attributes = optuna.load_study(study_name="tiny", storage=whole[1]).user_attrs
    assert json.loads(attributes["study"])["score"]["noise_std"] == 0.1
    assert attributes["space_digest"] == tiny().search_space.digest
    assert attributes["input_shape"] == [1, 8, 8]
