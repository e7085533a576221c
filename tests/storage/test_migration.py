"""Two studies of an earlier version become one, or nothing is changed and one line says why."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import get_note, save_note

from nas_sens.cli.main import main
from nas_sens.dashboard.excerpt import excerpt_of
from nas_sens.dashboard.merged_notes import merged_attributes
from nas_sens.dashboard.saved_notes import NOTE_MARK
from nas_sens.storage import migration
from nas_sens.storage.study_storage import StudyStorage
from tests.earlier_studies import REVISIONS, content, copy_of, url
from tests.shared_study import ENVIRONMENT

RENAMED = {"source_trial": "candidate"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_of("two_studies", tmp_path)
    StudyStorage(url(tmp_path))  # makes its table of leases
    return tmp_path


def load(folder: Path, name: str = "stored") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=url(folder))


def migrate(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Return what the command prints, on stdout if it is right and on stderr if it refuses."""
    with pytest.raises(SystemExit) as ended:
        main(["migrate", *arguments, "--storage", url(folder)])
    found = capsys.readouterr()
    assert ended.value.code == code, found.err
    return found.err if code else found.out


def without_states(t: FrozenTrial) -> tuple[object, ...]:
    attributes = {RENAMED.get(k, k): v for k, v in t.user_attrs.items()}
    times = (t.datetime_start, t.datetime_complete)
    return (t._trial_id, t.params, t.distributions, attributes, t.system_attrs, t.intermediate_values, times)


@pytest.mark.parametrize("revision", REVISIONS)
def test_all_is_kept_but_states_values_and_numbers(
    revision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of(revision, tmp_path)
    candidates, trainings = load(tmp_path).trials, load(tmp_path, "stored/train").trials
    told = migrate(tmp_path, capsys, "stored")
    assert f"candidates: {len(candidates)}, trainings: {len(trainings)}\n" in told
    assert optuna.get_all_study_names(url(tmp_path)) == ["stored"]
    study = load(tmp_path)
    trials = study.trials
    assert [t.number for t in trials] == list(range(len(candidates) + len(trainings)))
    assert [without_states(t) for t in trials] == [without_states(t) for t in [*candidates, *trainings]]
    for before, now in zip(candidates, trials, strict=False):
        assert now.state == (TrialState.PRUNED if before.state == TrialState.COMPLETE else before.state)
        assert now.values is None
    for before, now in zip(trainings, trials[len(candidates) :], strict=True):
        assert now.state == before.state
        assert now.value == before.user_attrs.get("val_error")
    assert study.metric_names == ["val_error"]
    assert study.user_attrs["layout"] == 2
    assert study.best_value == min(t.user_attrs["val_error"] for t in trainings if "val_error" in t.user_attrs)
    optuna.delete_study(study_name="stored", storage=url(tmp_path))
    left = [line for line in content(tmp_path) if line.startswith("INSERT") and "version" not in line]
    assert left == []  # no row is lost of those that belong to a study


def test_no_state_is_missing_in_the_asset(folder: Path) -> None:
    states = {t.state for t in load(folder, "stored/train").trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert load(folder).trials[-1]._trial_id > load(folder, "stored/train").trials[0]._trial_id


def test_a_target_that_is_val_loss_stays_the_value(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = json.loads(load(folder).user_attrs["study"])
    protocol["select"]["target"] = "val_loss"
    load(folder).set_user_attr("study", json.dumps(protocol))
    before = [t.values for t in load(folder, "stored/train").trials]
    migrate(folder, capsys, "stored")
    assert [t.values for t in load(folder).trials[-len(before) :]] == before
    assert load(folder).metric_names == ["val_loss"]


@pytest.mark.parametrize("is_bulk", [True, False])
def test_candidates_and_trainings_are_read_once(
    folder: Path, is_bulk: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(folder, capsys, "stored")
    storage = StudyStorage(url(folder), bulk=is_bulk)
    for _ in range(2):
        assert sorted(c.number for c in storage.scored("stored")) == list(range(9))
        assert [t.number for t in storage.trained("stored")] == list(range(9, 17))


def test_notes_of_a_user_stay_and_ours_are_written_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(folder, capsys, "stored")
    study = load(folder)

    def note(number: int) -> str:
        trial = SimpleNamespace(storage=study._storage, study=study, _trial_id=study.trials[number]._trial_id)
        return get_note(trial)

    assert note(0) == "Too narrow, I think."
    assert note(9) == "A note of mine on a training."
    assert get_note(study) == "What I saw of the trainings."
    best = min((t for t in study.trials if "val_loss" in t.user_attrs), key=lambda t: t.user_attrs["val_loss"])
    assert "Rank 1 of `stored`" in note(best.number)
    plots = [k for k in study._storage.get_study_system_attrs(study._study_id) if "plot_data" in k]
    assert sorted(plots) == [f"dashboard:plot_data:{x}-against-loss:0" for x in ("sensitivity", "size")]


def test_notes_that_cannot_be_written_are_only_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas_sens.dashboard.notes.save_notes", lambda *_: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        main(["migrate", "stored", "--storage", url(folder)])
    assert ended.value.code == 0
    assert "notes for the dashboard could not be written: division by zero" in capsys.readouterr().err
    assert not any(NOTE_MARK in line for line in content(folder))


def test_notes_and_plots_of_both_studies_are_kept() -> None:
    long, mark = "long " * 1000, f"ours\n\n{NOTE_MARK}"
    parts = {f"dashboard:7:note_str:{i}": long[i * 2045 : (i + 1) * 2045] for i in range(3)}
    own = {"dashboard:note_ver": 3, "dashboard:note_str:0": "one", "dashboard:5:note_ver": 1, "preference:x": 1}
    own |= {"dashboard:5:note_str:0": mark, "dashboard:plot_data:mine:0": "[1]", "dashboard:plot_data:mine:1": "[2]"}
    other = {"dashboard:note_ver": 5, "dashboard:note_str:0": "two", "dashboard:7:note_ver": 2, **parts}
    other |= {
        "dashboard:plot_data:mine:0": "[3]",
        "artifacts:a": "{}",
        "dashboard:plot_data:sensitivity-against-loss:0": "",
    }
    kept = {"dashboard:note_ver": 5, "dashboard:note_str:0": "one\n\ntwo", "dashboard:7:note_ver": 2, **parts}
    kept |= {"dashboard:plot_data:mine:0": "[1]", "dashboard:plot_data:mine:1": "[2]", "preference:x": 1}
    assert merged_attributes(own, other) == kept | {
        "dashboard:plot_data:mine (trainings):0": "[3]",
        "artifacts:a": "{}",
    }
    assert merged_attributes({"dashboard:note_ver": 1, "dashboard:note_str:0": mark}, {}) == {}


def test_what_is_one_already_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(folder, capsys, "stored")
    before = content(folder)
    assert migrate(folder, capsys, "stored") == "the study 'stored' is one already\n"
    assert migrate(folder, capsys, "--all").startswith("no study in sqlite")
    assert content(folder) == before


def test_all_studies_are_migrated_but_those_that_cannot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna.copy_study(from_study_name="stored", from_storage=url(folder), to_storage=url(folder), to_study_name="lone")
    told = migrate(folder, capsys, "--all", code=2)
    assert told.startswith("lone: the study of its trainings, 'lone/train', is missing")
    assert "1 of 2 studies are as they were" in told
    assert StudyStorage(url(folder)).study_names() == ["stored"]
    assert StudyStorage(url(folder)).earlier_names() == ["lone"]


def test_trials_of_somebody_else_stay_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("stored", "stored/train"):
        load(folder, name).add_trial(optuna.create_trial(value=-7.0, user_attrs={"mine": name}))
    assert "2 trials that nas_sens did not write are as they were" in migrate(folder, capsys, "stored")
    trials = load(folder).trials
    assert [t.user_attrs["mine"] for t in trials if t.value == -7.0] == ["stored", "stored/train"]
    assert trials[10].user_attrs["candidate"] == load(folder).trials[10].user_attrs["candidate"]


def delete_trainings(folder: Path) -> None:
    optuna.delete_study(study_name="stored/train", storage=url(folder))


def someone_elses(folder: Path) -> None:
    delete_trainings(folder)
    optuna.create_study(study_name="stored/train", storage=url(folder)).add_trial(optuna.create_trial(value=1.0))


def test_it_goes_without_trainings_that_are_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delete_trainings(folder)
    assert "candidates: 9, trainings: 0\n" in migrate(folder, capsys, "stored", "--without-trainings")
    assert StudyStorage(url(folder)).trained("stored") == []


def test_it_goes_without_trainings_that_are_not_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    someone_elses(folder)
    migrate(folder, capsys, "stored", "--without-trainings")
    assert [t.value for t in load(folder, "stored/train").trials] == [1.0]
    assert len(load(folder).trials) == 9


def attribute(folder: Path, name: str, key: str, value: Any) -> None:
    load(folder, name).set_user_attr(key, value)


def other_protocol(folder: Path) -> None:
    protocol = json.loads(load(folder).user_attrs["study"])
    attribute(folder, "stored/train", "study", json.dumps({**protocol, "score": {"seeds": 99}}))


def execute(folder: Path, statement: str) -> None:
    engine = sqlalchemy.create_engine(url(folder))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def of_another_candidate(folder: Path) -> None:
    execute(folder, "UPDATE trial_user_attributes SET value_json = '8' WHERE key = 'source_trial' AND value_json = '4'")


def claim(folder: Path, seconds_ago: float) -> None:
    values = f"'stored', 'digest', 'host:1:2', {time.time() - seconds_ago}"
    execute(folder, f"INSERT INTO nas_sens_claims (study, item, worker, heartbeat) VALUES ({values})")


def delete_candidates(folder: Path) -> None:
    optuna.delete_study(study_name="stored", storage=url(folder))


REFUSALS: list[tuple[str, Callable[[Path], object], list[str], list[str]]] = [
    ("no study", lambda f: None, ["none"], ["no study 'none'", "stored by an earlier nas_sens: stored"]),
    ("foreign", lambda f: optuna.create_study(study_name="own", storage=url(f)).set_user_attr("a", 1), ["own"],
     ["'own'", "was not made by nas_sens"]),
    ("missing", delete_trainings, ["stored"], ["'stored/train', is missing", "if it was renamed", "--without-tr"]),
    ("someone else's", someone_elses, ["stored"], ["'stored/train'", "digest none", "--without-trainings"]),
    ("other space", lambda f: attribute(f, "stored/train", "space_digest", "0"), ["stored"], ["digest 0 instead of"]),
    ("other protocol", other_protocol, ["stored"], ["its protocol differs in score"]),
    ("other candidate", of_another_candidate, ["stored"], ["one of candidate 8 with the digest"]),
    ("at work", lambda f: claim(f, 500.0), ["stored"], ["host:1:2", "may still work on 'stored'", "600 s ago"]),
    ("running candidate", lambda f: load(f).ask(), ["stored"], ["1 trials of 'stored' are RUNNING"]),
    ("running training", lambda f: load(f, "stored/train").ask(), ["stored"], ["1 trials of 'stored' are RUNNING"]),
    ("later", lambda f: attribute(f, "stored", "layout", 3), ["stored"], ["later nas_sens", "layout 3"]),
    ("there", lambda f: None, ["stored", "--without-trainings"], ["leave --without-trainings out"]),
    ("trainings", lambda f: None, ["stored/train"], ["holds the trainings of 'stored'", "nas-sens migrate 'stored'"]),
    ("orphans", delete_candidates, ["stored/train", "--without-trainings"], ["holds the trainings of 'stored'"]),
    ("both", lambda f: None, ["stored", "--all"], ["one NAME, or --all"]),
    ("nothing", lambda f: None, [], ["one NAME, or --all"]),
]  # fmt: skip


@pytest.mark.parametrize(("arrange", "arguments", "expected"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_what_may_not_be_migrated_is_left_as_it_is(
    folder: Path,
    arrange: Callable[[Path], object],
    arguments: list[str],
    expected: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arrange(folder)
    before = hashlib.sha256((folder / "nas_sens.db").read_bytes()).hexdigest()
    told = migrate(folder, capsys, *arguments, code=2)
    assert len(told.strip().splitlines()) == 1
    for text in expected:
        assert text in told
    assert hashlib.sha256((folder / "nas_sens.db").read_bytes()).hexdigest() == before


def test_unknown_tables_are_not_touched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(folder)
    monkeypatch.setattr(migration, "is_known_schema", lambda: False)
    assert "Optuna whose tables are known" in migrate(folder, capsys, "stored", code=2)
    assert content(folder) == before


def test_a_process_that_is_gone_for_long_is_not_waited_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim(folder, 601.0)
    migrate(folder, capsys, "stored")
    assert not any("host:1:2" in line for line in content(folder))


def test_a_kill_between_two_updates_of_attributes_is_no_other_protocol(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = json.loads(load(folder).user_attrs["study"])
    protocol["select"]["top_k"], protocol["search"]["n_candidates"] = 11, 50
    attribute(folder, "stored/train", "study", json.dumps(protocol))
    migrate(folder, capsys, "stored")


def test_the_dashboard_shows_two_studies_as_they_are(folder: Path) -> None:
    storage = excerpt_of(StudyStorage(url(folder)), at_most=20)
    ids = {s.study_name: s._study_id for s in storage.get_all_studies()}
    assert {name: len(storage.get_all_trials(i)) for name, i in ids.items()} == {"stored": 9, "stored/train": 8}


# Forks a process for every statement, which kills itself just before it.
KILLED = """
import os, signal, sys
import sqlalchemy
from nas_sens.dashboard.merged_notes import merged_attributes
from nas_sens.storage.migration import migrate
from nas_sens.storage.study_storage import StudyStorage
import tests.earlier_studies as earlier
from pathlib import Path

folder = Path(sys.argv[1])
StudyStorage(earlier.url(folder)).rdb.engine.dispose()  # imports what all processes need
before = earlier.content(folder)
for n in range(100):
    child = os.fork()
    if child == 0:
        storage, seen = StudyStorage(earlier.url(folder)), []
        @sqlalchemy.event.listens_for(storage.rdb.engine, "before_cursor_execute")
        @sqlalchemy.event.listens_for(storage.rdb.engine, "commit")
        def kill(*_):
            seen.append(1)
            if len(seen) > n:
                os.kill(os.getpid(), signal.SIGKILL)
        migrate(storage, "stored", merged=merged_attributes)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    assert earlier.content(folder) == before, n
print(n, StudyStorage(earlier.url(folder)).attributes("stored")["layout"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_killed_at_any_statement_it_leaves_both_as_they_were(folder: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, str(folder)]
    found = subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    n, layout = map(int, found.stdout.split())
    assert 20 < n < 100
    assert layout == 2


def test_a_user_reads_it_by_optuna_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(folder, capsys, "stored")
    study = load(folder)
    save_note(study, "mine")
    added = study.ask()
    assert added.number == 17  # behind all, though the newest candidate's identifier is not that of number 16
    assert (
        study.best_trial.user_attrs["digest"]
        == study.trials[study.best_trial.user_attrs["candidate"]].user_attrs["digest"]
    )
