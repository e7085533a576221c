"""``--optuna``: report, rank and replay of studies that plain Optuna made; nothing is written to them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import shlex
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

import nas_sens.optuna
from nas_sens.cli.main import main
from nas_sens.core.candidates import CONTROL, ENQUEUED, STARTUP, UNSELECTED
from nas_sens.core.errors import InvalidInputError
from nas_sens.own_study import attributes as names
from nas_sens.own_study.as_outcomes import optuna_outcomes
from nas_sens.own_study.as_records import CHOSEN_BY, read_optuna_study
from nas_sens.report import render_report
from tests.own_study.tiny_objective import X, build, quiet
from tests.report.test_report import _Checker, _text

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # set_metric_names
SPACE = {"width": IntDistribution(1, 1000), "rate": FloatDistribution(1e-6, 1.0)}


def add(study, i, value=None, *, group=None, state=TrialState.COMPLETE, steps=(), scored=True, values=None, **more):
    """Store a finished trial as an objective with `score` would have left it."""
    attributes = {names.SENSITIVITY: math.sin(i), names.STDERR: 0.05, names.PARAMS: 100 + i, names.FLOPS: 1000 + i}
    if group is not None:
        attributes[names.GROUP] = group
    study.add_trial(
        create_trial(
            state=state,
            value=value,
            values=values,
            params={"width": 1 + i, "rate": 1 / (1 + i)},
            distributions=SPACE,
            user_attrs=(attributes if scored else {}) | more,
            intermediate_values=dict(enumerate(steps)),
        )
    )


def made(folder: Path, name: str = "mine", **options) -> tuple[str, optuna.Study]:
    url = f"sqlite:///{folder}/mine.db"
    return url, quiet(study_name=name, storage=url, **options)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> str:
    """A study of one objective with trials in every state and of every group."""
    url, study = made(tmp_path_factory.mktemp("own"), direction="maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that names of metrics are experimental
        study.set_metric_names(["f1"])
    for i in range(6):
        add(study, i, 0.5 + i / 100, group="startup", steps=(0.1, 0.5))
    for i in range(6, 12):
        add(
            study, i, 0.90 + i / 1000, group="kept", steps=(0.1, 0.9), **{names.PREDICTED: 0.9, names.PREDICTED_SD: 0.1}
        )
    for i in range(12, 17):
        add(study, i, 0.10 + i / 1000, group="control", steps=(0.1, 0.1))
    for i in range(17, 20):
        add(study, i, group="pruned", state=TrialState.PRUNED)
    add(study, 20, group="kept", state=TrialState.PRUNED, steps=(0.0,))
    add(study, 21, group="kept", state=TrialState.FAIL)
    add(study, 22, 0.3, scored=False)
    add(study, 23, 0.4)
    add(study, 24, 0.4, group="enqueued", **{names.REASON: "far from all others"})
    study.enqueue_trial({"width": 5, "rate": 0.5})
    return url


def run(capsys, line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        main(shlex.split(line))
        code = 0
    except SystemExit as end:
        code = int(str(end.code or 0))
    return code, *capsys.readouterr()


def page_of(url: str, **options) -> str:
    found = read_optuna_study(url, "mine", **options)
    page = render_report(name="mine", protocol=found.protocol, candidates=found.candidates, trained=found.trials)
    _Checker(page)
    return page


def test_every_scored_trial_is_a_candidate_and_every_trained_one_a_training(study):
    found = read_optuna_study(study, "mine")
    assert [c.number for c in found.candidates] == [i for i in range(25) if i != 22]
    by_number = {t.number: t for t in found.trials}
    assert sorted(by_number) == [*range(17), 20, 21, 23, 24]  # what was pruned untrained is no training
    first = by_number[7]
    assert json.loads(first.architecture) == {"family": "trial", "rate": 0.125, "width": 8}
    assert (first.figures, first.curve, first.curve_of) == ({"f1": 0.907}, (0.1, 0.9), "f1")
    assert (first.predicted_mean, first.predicted_sd, first.params) == (0.9, 0.1, 107)
    groups = {0: STARTUP, 7: CHOSEN_BY, 13: CONTROL, 23: UNSELECTED, 24: ENQUEUED}
    assert {i: by_number[i].chosen_by for i in groups} == groups
    assert by_number[24].reason == "far from all others"
    assert by_number[20].is_pruned
    assert by_number[21].status.startswith("failed")
    assert [t.number for t in found.trials[:3]] == [11, 10, 9]  # more is better
    assert len({c.digest for c in found.candidates}) == 24


def test_the_report_says_whether_the_pruner_helped(study):
    text = _text(page_of(study))
    assert "24 trials of the Optuna study were looked at before training (3 pruned before their first report)" in text
    assert "8 selected by the rule SensitivityPruner and 5 drawn at random as the control group, and 8 neither" in text
    assert "(enqueued, startup, unselected)" in text
    assert "A selected network is better than a random one in " in text
    assert "With the f1: Spearman" in text
    assert "8 trainings are of neither group" in text


def test_the_verdict_turns_with_the_direction(tmp_path):
    url, study = made(tmp_path, direction="minimize")
    for i in range(12):
        add(study, i, 0.9 + i / 100 if i % 2 else 0.1 + i / 100, group="kept" if i % 2 else "control")
    assert "It is worse: A selected network is better than a random one in 0 of 36 pairs" in _text(page_of(url))


@pytest.mark.parametrize(
    ("more_pruned", "verdict"), [("control", "Very likely. A selected"), ("kept", "No. It is worse: A selected")]
)
def test_trainings_that_were_pruned_count_as_the_worst(tmp_path, more_pruned, verdict):
    url, study = made(tmp_path)
    for i in range(24):
        group = "kept" if i % 2 else "control"
        is_pruned = (group == more_pruned and i >= 4) or i == 0
        end = {"state": TrialState.PRUNED} if is_pruned else {"value": 1.0 + (i % 5) / 10}
        add(study, i, group=group, steps=(2.0,), **end)
    text = _text(page_of(url))
    assert f"Better than choosing at random? {verdict} network is better than a random one in" in text
    assert "By value, pruned trainings last (" in text
    assert "rests on one comparison fixed beforehand, the rank by value" in text


def test_without_a_pruner_of_ours_there_is_no_verdict_but_all_else(tmp_path):
    url, study = made(tmp_path)
    for i in range(10):
        add(study, i, float(i))
    page = page_of(url)
    assert "It cannot be told: no trained network was selected by S" in _text(page)
    assert page.count("<svg") == 6  # cost and progress without scripts, S and size, all candidates, the best so far


def test_several_objectives_are_as_many_figures(tmp_path):
    url, study = made(tmp_path, directions=["minimize", "maximize"])
    study.set_metric_names(["val_loss", "accuracy"])
    for i in range(12):
        predicted = {f"{names.PREDICTED}_{k}": float(k) for k in (0, 1)}
        add(study, i, values=[1.0 + i, i / 12], group="kept" if i % 2 else "control", **predicted)
    by_loss, by_accuracy = read_optuna_study(url, "mine"), read_optuna_study(url, "mine", by="accuracy")
    assert [r.trials[0].number for r in (by_loss, by_accuracy)] == [0, 11]
    assert [r.trials[0].predicted_mean for r in (by_loss, by_accuracy)] == [0.0, 1.0]
    text = _text(page_of(url, by="accuracy"))
    assert "Ranked by accuracy, the largest first" in text
    assert "more is better of accuracy; less of validation loss" in text
    with pytest.raises(InvalidInputError, match="has the objectives val_loss, accuracy; given 'accurcy'"):
        read_optuna_study(url, "mine", by="accurcy")


def test_parameters_of_any_kind_are_an_architecture(tmp_path):
    url, study = made(tmp_path)
    distributions = {
        "family": CategoricalDistribution(["a", "b"]),
        "clip": CategoricalDistribution([None, math.inf]),
        "x<y>": FloatDistribution(0, 1),
    }
    for i, clip in enumerate([None, math.inf, None, None, math.inf]):
        params = {"family": "a", "clip": clip, "x<y>": 0.5}
        attributes = {names.SENSITIVITY: 0.1 * i, names.PARAMS: 10, names.FAMILY: "Conv2d+Linear"}
        study.add_trial(create_trial(value=1.0, params=params, distributions=distributions, user_attrs=attributes))
    found = read_optuna_study(url, "mine")
    assert found.trials[0].description.startswith("Conv2d+Linear")
    assert len({c.digest for c in found.candidates}) == 5
    assert "x<y>" not in page_of(url)


def test_networks_without_a_sensitivity_are_told(tmp_path):
    url, study = made(tmp_path)
    add(study, 0, 1.0)
    problem = "dead: input noise moves no output (S = 0)"
    attributes = {names.PARAMS: 5, names.PROBLEM: problem}
    study.add_trial(create_trial(value=9.0, params={}, distributions={}, user_attrs=attributes))
    assert [c.status for c in read_optuna_study(url, "mine").candidates] == ["ok", problem]
    assert problem in _text(page_of(url))


def test_commands_print_and_write_nothing_into_the_study(study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path(study.removeprefix("sqlite:///"))
    file.chmod(0o444)
    before = hashlib.sha256(file.read_bytes()).hexdigest(), sorted(p.name for p in file.parent.iterdir())
    code, out, err = run(capsys, f"report mine --optuna --storage {study}")
    assert (code, out.strip()) == (0, "mine_report.html")
    assert "rule SensitivityPruner" in Path("mine_report.html").read_text(encoding="utf-8")
    code, out, _ = run(capsys, f"rank --optuna mine --storage {study} --format json")
    rows = json.loads(out)
    assert (code, len(rows), rows[0]["f1"]) == (0, 21, 0.911)
    assert json.loads(rows[0]["architecture"]) == {"family": "trial", "rate": 1 / 12, "width": 12}
    code, out, _ = run(capsys, f"rank --optuna mine --storage {study} --format csv --scored")
    assert (code, len(list(csv.DictReader(io.StringIO(out))))) == (0, 24)
    code, out, err = run(capsys, f"rank --optuna mine --storage {study} -n 3")
    assert code == 0
    assert re.search(r"#.*chosen by.*f1", out)
    replayed = f"replay --optuna mine --storage {study} --rules highest,random --budgets 2 --repeats 5 --format json"
    code, out, err = run(capsys, replayed)
    assert (code, [row["rule"] for row in json.loads(out)]) == (0, ["highest", "random"])
    assert "5 scored trials without a final value are left out" in err
    assert (hashlib.sha256(file.read_bytes()).hexdigest(), sorted(p.name for p in file.parent.iterdir())) == before


def test_outcomes_to_replay_are_losses(study):
    candidates, outcomes, n_left_out = optuna_outcomes(study, "mine", None)
    assert (len(candidates), len(outcomes), n_left_out) == (19, 19, 5)
    assert min(outcomes.values()) == outcomes["000000011"] == -0.911
    assert candidates[0].choices["width"] == 1


def test_a_journal_is_read_as_well(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = optuna.storages.journal.JournalFileBackend("mine.log")
    study = quiet(study_name="mine", storage=optuna.storages.JournalStorage(backend))
    for i in range(6):
        add(study, i, float(i))
    before = Path("mine.log").read_bytes()
    assert run(capsys, "report --optuna mine --storage journal:mine.log")[0] == 0
    assert Path("mine.log").read_bytes() == before
    code, _, err = run(capsys, "report --optuna mine --storage journal:other.log")
    assert (code, err.count("\n"), Path("other.log").exists()) == (2, 1, False)


def test_a_real_objective_is_read_as_it_was_scored(tmp_path):
    url, study = made(tmp_path, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        nas_sens.optuna.score(trial, build(trial), X)
        return float(trial.number)

    study.optimize(objective, n_trials=3)
    found = read_optuna_study(url, "mine")
    assert [c.log10_sensitivity for c in found.candidates] == [t.user_attrs[names.SENSITIVITY] for t in study.trials]
    assert found.candidates[0].architecture.count('"family":"Linear"') == 1


def test_mistakes_are_one_line_that_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url, study = made(tmp_path)
    add(study, 0, 1.0, scored=False)
    Path("empty.db").write_bytes(b"")
    Path("text.db").write_text("no database " * 100, encoding="utf-8")
    for command in ("report", "rank", "replay"):
        for line, says in {
            f"mine --optuna --storage {url}": "nas_sens.optuna.score(trial, model, x)",
            f"mine2 --optuna --storage {url}": "there is no study 'mine2'",
            "mine --optuna --storage sqlite:///no.db": "there is no database 'no.db'",
            "mine --optuna --storage sqlite:///empty.db": "holds no study",
            f"mine --storage {url}": "--optuna",
        }.items():
            code, out, err = run(capsys, f"{command} {line}")
            assert (code, out, err.count("\n")) == (2, "", 1), (command, line, err)
            assert says in err
    assert not Path("no.db").exists()
    assert Path("empty.db").read_bytes() == b""
    code, _, err = run(capsys, "report mine --optuna --storage sqlite:///text.db")  # as of any damaged database
    assert (code, err.count("\n")) == (1, 1)
    code, _, err = run(capsys, f"report mine --by value --storage {url}")
    assert (code, "--by needs --optuna" in err) == (2, True)
