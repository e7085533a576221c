"""The command line as a real process: what it prints, where, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas_sens.cli.main import main
from nas_sens.core.candidates import describe
from nas_sens.core.compact import compact

STUDY = """
name = "mini"
search_space = "mini_space.toml"
[data]
name = "digits"
train_samples = 100
[score]
n_inputs = 32
seeds = 2
[search]
n_candidates = 6
[select]
top_k = 2
control = 1
[train]
epochs = 2
seeds = 1
"""
SPACE = """
[fc]
depth = { type = "int", low = 1, high = 3 }
width = { type = "int", low = 4, high = 24 }
"""
ENVIRONMENT = {**os.environ, "OPTUNA_STORAGE": ""}


def run(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nas_sens", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **changes},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mini.toml").write_text(STUDY)
    (folder / "mini_space.toml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def searched(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "search", "mini.toml", "--format", "json")


def test_search_does_the_main_job(folder: Path, searched: subprocess.CompletedProcess[str]) -> None:
    assert searched.returncode == 0, searched.stderr
    rows = json.loads(searched.stdout)  # nothing but data on stdout
    assert len(rows) == 3
    assert [r["val_loss"] for r in rows] == sorted(r["val_loss"] for r in rows)
    assert {r["chosen_by"] for r in rows} == {"calibrated", "control"}
    assert "score: 6/6" in searched.stderr
    assert "train: 6/6" in searched.stderr
    assert "\r" not in searched.stderr  # plain lines where stderr is no terminal
    assert "nas-sens export mini --rank 1" in searched.stderr
    assert (folder / "nas_sens.db").is_file()
    assert len(list((folder / "nas_sens_artifacts").iterdir())) == 5 * 3  # and log, mistakes, picture
    assert "mini" in (folder / "mini_report.html").read_text(encoding="utf-8")


@pytest.fixture
def here(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run a command inside this process, which saves the imports, and return what it wrote to stdout and stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPTUNA_STORAGE", "")

    def command(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        captured = capsys.readouterr()
        assert exit_.value.code == 0, captured.err
        return [captured.out, captured.err]

    return command


def test_verbose_tells_every_candidate_and_quiet_tells_nothing(here: Callable[..., list[str]]) -> None:
    _, loud = here("search", "mini.toml", "--name", "loud", "-v", "-o", "loud.html")
    assert sum(line.startswith("scored fc depth=") for line in loud.splitlines()) == 6
    assert sum(line.startswith("trained fc depth=") for line in loud.splitlines()) == 3
    assert here("search", "mini.toml", "--name", "hushed", "-q")[1] == ""


def test_replay_of_a_table_and_of_a_study(
    folder: Path, searched: subprocess.CompletedProcess[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)

    def out(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        captured = capsys.readouterr()
        assert exit_.value.code == code, captured.err
        return captured.out if code == 0 else captured.err

    # The smallest x has the smallest error; test_error says so too, but only after training: it is no feature.
    lines = [f"n{i},{i},{i / 100},{i / 100}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["arch,x,val_error,test_error", *lines]))
    options = ("--repeats", "5", "--budgets", "3", "--format", "json")
    rows = json.loads(out("replay", str(tmp_path / "t.csv"), "--rules=-x,+x,random", *options))
    assert [r["rule"] for r in rows] == ["-x", "+x", "random"]
    assert rows[0]["regret"] == rows[0]["regret high"] == 0
    assert rows[1]["rank"] == 18  # the best of the three largest of 20
    assert 0 < rows[2]["regret"] < rows[1]["regret"]
    assert "unknown rule '-test_error'" in out("replay", str(tmp_path / "t.csv"), "--rules=-test_error", code=2)
    assert "whole numbers" in out("replay", str(tmp_path / "t.csv"), "--budgets", "3,x", code=2)
    study = json.loads(out("replay", "mini", "--rules=params,+log10_sensitivity", *options, "--pool-share", "1"))
    assert {r["rank"] for r in study} == {1}
    assert "must be one of val_loss" in out("replay", "mini", "--outcome", "loss", code=2)


def test_measure_tells_what_it_can(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["measure", "fc:depth=1,width=4,activation=gelu", "--data", "digits", "--metrics", "params,linear_regions",
              "--format", "json"])  # fmt: skip
    assert exit_.value.code == 0
    params, regions = json.loads(capsys.readouterr().out)
    assert (params["value"], params["problem"]) == (64 * 4 + 4 + 4 * 10 + 10, "")
    assert regions["value"] is None
    assert regions["problem"]
    with pytest.raises(SystemExit) as exit_:
        main(["measure", "fc:depth=1,width=4", "--data", "digits", "--seeds", "3"])
    assert exit_.value.code == 2
    assert "needs an init" in capsys.readouterr().err


def test_measure_takes_inputs_of_all_classes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[torch.Tensor] = []
    monkeypatch.setattr("nas_sens.metrics.measurement.measure", lambda model, x, y, **_: found.append(y) or [])
    for seed in ("0", "0", "1"):
        with pytest.raises(SystemExit):
            main(["measure", "fc:depth=1,width=4", "--data", "mnist5k", "--n-inputs", "50", "--seed", seed])
    assert torch.bincount(found[0]).tolist() == [5] * 10  # its first 50 rows are zeros
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_an_unforeseen_error_tells_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("cannot reach postgresql://me:s3cret@host/db")

    monkeypatch.setattr("nas_sens.cli.result_commands.open_storage", fail)
    with pytest.raises(SystemExit) as exit_:
        main(["rank", "mini", "--storage", "postgresql://me:s3cret@host/db"])
    err = capsys.readouterr().err
    assert exit_.value.code == 1
    assert "cannot reach" in err
    assert "s3cret" not in err


def test_reading_commands(
    folder: Path,
    searched: subprocess.CompletedProcess[str],
    here: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def out(*arguments: str) -> str:
        return here(*arguments)[0]

    best = json.loads(searched.stdout)[0]
    rows = list(csv.DictReader(io.StringIO(out("rank", "mini", "--format", "csv"))))
    assert [r["digest"] for r in rows] == [r["digest"] for r in json.loads(searched.stdout)]
    assert compact(best["params"]) in out("rank", "mini", "-n", "1")
    assert describe(best["architecture"]) in out("rank", "mini", "-n", "1", "--full-names")
    by_error = json.loads(out("rank", "mini", "--by", "val_error", "--format", "json"))
    assert [r["val_error"] for r in by_error] == sorted(r["val_error"] for r in by_error)
    scored = json.loads(out("rank", "mini", "--scored", "--format", "json"))
    assert len(scored) == 6
    assert [r["log10_sensitivity"] for r in scored] == sorted(r["log10_sensitivity"] for r in scored)
    assert out("report", "mini", "-o", "r.html") == "r.html\n"
    # The report of a finished study is the same whoever writes it.
    assert (folder / "r.html").read_bytes() == (folder / "mini_report.html").read_bytes()
    assert out("export", "mini", "-o", "net") == "net\n"
    config = json.loads((folder / "net" / "config.json").read_text())
    assert config["nas_sens"]["figures"]["digest"] == best["digest"]
    monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{folder}/nas_sens.db")
    monkeypatch.chdir(folder.parent)
    assert len(json.loads(out("rank", "mini", "--format", "json"))) == 3


def test_score_then_train_is_search(here: Callable[..., list[str]], searched: subprocess.CompletedProcess[str]) -> None:
    storage = ("--storage", "sqlite:///parts.db")
    here("score", "mini.toml", *storage)
    trained, _ = here("train", "mini", *storage, "--format", "json")
    without = ("seconds", "number")
    expected, given = (
        [{k: v for k, v in r.items() if k not in without} for r in json.loads(text)]
        for text in (searched.stdout, trained)
    )
    assert given == expected
    more = json.loads(here("train", "mini", *storage, "--top-k", "3", "--format", "json")[0])
    assert len(more) == 4


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["search", "quikstart"], ["quikstart", "did you mean 'quickstart'"]),
        (["search", "mini.toml", "--seed", "7"], ["search.seed: 0 stored, 7 given", "--name"]),
        (["search", "mini.toml", "--device", "cuda:9"], ["cuda:9", "--device cpu"]),
        (["search", "mini.toml", "--device", "tpu"], ["device must be auto, cpu or an accelerator", "'tpu'"]),
        (["search", "mini.toml", "--n-candidates", "0"], ["x>=1"]),
        (["search", "mini.toml", "--name", " a"], ["name", " a"]),
        (["search", "mini.toml", "--storage", "nonsense"], ["database URL", "nonsense"]),
        (["rank", "none"], ["no study 'none'", "mini"]),
        (["rank", "mini", "--by", "luck"], ["luck", "val_loss"]),
        (["export", "mini", "--rank", "9", "-o", "x"], ["rank 9", "1 to 3"]),
        (["export", "mini", "-o", "."], ["new or empty"]),
        (["train", "none"], ["no study 'none'"]),
        (["list", "nothing"], ["nothing", "spaces"]),
        (["serach"], ["serach"]),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    folder: Path,
    searched: subprocess.CompletedProcess[str],
    arguments: list[str],
    texts: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPTUNA_STORAGE", "")
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capsys.readouterr()
    assert exit_.value.code == 2
    assert out == ""
    message = [line for line in err.strip().splitlines() if "rror" in line]
    assert len(message) == 1
    for text in texts:
        assert text in err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_process_ends_with_the_same_message_and_code(folder: Path) -> None:
    result = run(folder, "search", "quikstart")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_a_wrong_declaration_names_file_and_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.toml").write_text(STUDY.replace("n_inputs", "n_input"))
    with pytest.raises(SystemExit) as exit_:
        main(["search", str(folder / "bad.toml")])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert "bad.toml" in err
    assert "unknown key 'score.n_input'; did you mean 'n_inputs'?" in err


def test_debug_shows_the_traceback(folder: Path) -> None:
    result = run(folder, "--debug", "search", "quikstart")
    assert result.returncode == 2  # as without
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    "what", ["spaces", "studies", "metrics", "recordings", "data", "families", "samplers", "rules"]
)
def test_lists(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {"spaces": "fc_vs_cnn", "studies": "quickstart", "metrics": "output_sensitivity", "data": "mnist5k",
                "families": "cnn", "rules": "pareto", "recordings": "points", "samplers": "tpe"}[what]  # fmt: skip
    with pytest.raises(SystemExit) as exit_:
        main(["list", what, "--format", "json"])
    assert exit_.value.code == 0
    rows = json.loads(capsys.readouterr().out)
    assert expected in {r["name"] for r in rows}
    assert all(r["description"] for r in rows)


def test_ctrl_c_keeps_what_is_finished(folder: Path) -> None:
    (folder / "long.toml").write_text(STUDY.replace('"mini"', '"long"').replace("epochs = 2", "epochs = 4000"))
    storage = f"sqlite:///{folder}/long.db"
    command = [sys.executable, "-m", "nas_sens", "search", "long.toml", "--storage", storage]
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        # What follows is PyTorch's import of its compiler, in weakref callbacks of which Python drops interrupts.
        if line.startswith("score: 6/6"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "interrupted" in rest
    assert "Traceback" not in rest
    scored = run(folder, "rank", "long", "--storage", storage, "--format", "json")
    assert len(json.loads(scored.stdout)) == 6
