"""Studies with bounds on latency and memory: what is screened, what is measured, and what is trained."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import nas_sens as ns
from nas_sens.cli.main import cli
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.latency_stage import LatencyCheck, screen_of
from nas_sens.pipeline.search import open_study
from nas_sens.results.search_result import read_result
from nas_sens.storage.attribute_types import LATENCIES
from nas_sens.storage.study_storage import StudyStorage

# Time goes with width, as the model can see by the bytes of weights, but for one kind, which it cannot.
MODULE = """
import time
import torch
from torch import nn

class Slow(nn.Module):
    def __init__(self, n, width, hidden, n_outputs):
        super().__init__()
        self.a, self.b, self.seconds = nn.Linear(n, width), nn.Linear(width, n_outputs), (width + 40 * hidden) * 0.0002

    def forward(self, x):
        time.sleep(self.seconds)
        return self.b(torch.relu(self.a(x.flatten(1))))

def net(input_shape, n_outputs, *, width: int, hidden: bool = False):
    return Slow(input_shape[0] * input_shape[1] * input_shape[2], width, hidden, n_outputs)
"""
STUDY = """
name = "fast"
[search_space."slow_nets:net"]
width = {{ type = "int", low = 1, high = 40 }}
{more}
[search_space.constraints]
{constraints}
[data]
name = "digits"
train_samples = 50
val_samples = 20
test_samples = 20
[score]
n_inputs = 4
seeds = 1
metrics = "none"
[search]
n_candidates = {n}
grow = 4
[select]
top_k = 4
control = 2
cost = {cost}
[train]
epochs = 1
seeds = 1
batch_size = 50
"""
LIMIT = "latency_ms = { max = 3.2 }"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("slow_nets.py").write_text(MODULE)
    return tmp_path


def write(constraints=LIMIT, *, more="", n=12, cost='"latency_ms"'):
    Path("s.toml").write_text(STUDY.format(constraints=constraints, more=more, n=n, cost=cost))


def run(*command):
    return CliRunner().invoke(cli, list(command))


def width_of(record):
    return json.loads(record.architecture)["width"]


def latencies():
    return StudyStorage("sqlite:///nas_sens.db").attributes("fast")[LATENCIES]


def stored():
    return read_result(StudyStorage("sqlite:///nas_sens.db"), "fast")


def test_slow_ones_are_screened_and_the_trained_ones_are_measured(folder):
    write()
    result = ns.search("s.toml", device="cpu")
    screened = [c for c in result.candidates if c.status.startswith("infeasible: latency_ms")]
    assert screened
    assert all(width_of(c) > 12 for c in screened), "their time is a fifth of a millisecond a unit, and more"
    assert len(result.trials) == 6
    assert all(t.is_ok for t in result.trials)
    for t in result.trials:
        assert 0.2 * width_of(t) <= t.figures["latency_ms"] <= 3.2
        assert t.figure_sds["latency_ms"] >= 0
    kept = latencies()
    measured = {row["digest"]: row["ms"] for row in kept["rows"]}
    assert {t.digest: t.figures["latency_ms"] for t in result.trials}.items() <= measured.items()
    fitted = {row["digest"] for row in kept["rows"][: kept["n_fitted"]]}
    later = set(measured) - fitted
    assert {t.digest for t in result.trials} & later, "none had been measured before it was chosen"
    assert later <= {c.digest for c in result.candidates if c.is_ok}, "only what was chosen"
    ok = [c for c in result.candidates if c.is_ok]
    assert all(c.measures["latency_ms"] > 0 for c in ok)
    assert len({width_of(c) for c in ok}) >= 8, "nothing that is fast is left out"


@pytest.mark.slow
def test_what_the_model_cannot_see_is_measured_and_not_trained(folder):
    """Half of the networks take 8 ms more, which they have no more layers or bytes for."""
    write(more="hidden = [false, true]", n=30)
    done = run("search", "s.toml", "--device", "cpu")
    assert done.exit_code == 0, done.output
    result = stored()
    assert len(result.trials) == 6
    assert not any(json.loads(t.architecture)["hidden"] for t in result.trials)
    told = re.findall(r"is not trained: measured, latency_ms = (\S+) is above the maximum of 3.2", done.output)
    rows = latencies()["rows"]
    assert len(rows) > latencies()["n_fitted"]
    assert len({row["digest"] for row in rows}) == len(rows), "each is measured once"
    assert told
    assert all(float(ms) > 3.2 for ms in told)
    before = latencies()
    again = run("search", "s.toml", "--device", "cpu", "--top-k", "5")
    assert again.exit_code == 0, again.output
    assert latencies()["rows"][: len(before["rows"])] == before["rows"], "what was measured is kept"
    assert len(stored().trials) == 7


def write_table(factor=3.0):
    rows = [(ns.load_spec({"family": "slow_nets:net", "width": w}).to_json(), factor * w) for w in range(2, 41, 2)]
    with Path("phone.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("architecture", "latency_ms"), *rows])
    return rows


def test_a_session_reads_and_fits_a_table_once_and_so_do_the_others(folder):
    write('latency_ms = { max = 45, table = "phone.csv" }')
    write_table()
    first = open_study(declare("s.toml"), storage="sqlite:///nas_sens.db", device="cpu")
    screen = screen_of(first)
    write_table(factor=300.0)
    assert screen_of(first) is screen
    assert LatencyCheck(first).known is screen.known
    second = open_study(declare("s.toml"), storage="sqlite:///nas_sens.db", device="cpu")
    assert screen_of(second).known == screen.known, "all of a study screen alike"
    assert (screen_of(second).model.weights == screen.model.weights).all()
    other = open_study(replace(declare("s.toml"), name="other"), storage="sqlite:///nas_sens.db", device="cpu")
    assert screen_of(other).known != screen.known, "another study reads the file as it is then"


def test_latencies_of_another_device_are_read_and_predicted(folder):
    rows = write_table()
    write('latency_ms = { max = 45, table = "phone.csv" }')
    result = ns.search("s.toml", device="cpu")
    for c in result.candidates:
        if c.feasible:
            assert c.measures["latency_ms"] == pytest.approx(3 * width_of(c), rel=0.06)
    widths = {width_of(c): c.feasible for c in result.candidates}
    assert all(feasible == (w <= 15) for w, feasible in widths.items() if w not in (15, 16))
    assert all(width_of(t) <= 15 for t in result.trials)
    assert len(latencies()["rows"]) == len(rows), "nothing was measured here"


def test_memory_is_counted(folder):
    write("memory_mb = { max = 0.004 }", cost='"memory_mb"')
    result = ns.search("s.toml", device="cpu")
    for c in result.candidates:
        w = width_of(c)
        taken = 4 * ((64 + 1) * w + (w + 1) * 10 + 64 + max(2 * w, w + 10)) / 1e6
        assert c.feasible == (taken <= 0.004)
        assert c.measures["memory_mb"] == pytest.approx(taken)


@pytest.mark.slow
def test_a_bound_that_nothing_meets_is_one_line(folder):
    write("latency_ms = { max = 0.001 }")
    with pytest.raises(ns.InvalidInputError, match=r"latency_ms must be at most 0.001, the smallest sampled has"):
        ns.search("s.toml", device="cpu")


@pytest.mark.parametrize(
    ("constraints", "cost", "message"),
    [
        ('latency_ms = { most = 5 }', '"latency_ms"', "unknown key 'constraints.latency_ms.most'; valid: min, max"),
        ('latency_ms = { max = 5, threads = 0 }', '"latency_ms"', "latency_ms.threads must be .* 1; given 0"),
        ('latency_ms = { max = 5, runtime = "tflite" }', '"latency_ms"', "runtime must be 'torch' or 'onnx'"),
        ('latency_ms = { max = 5, runtime = "onnx", device = "cuda" }', '"latency_ms"', "is measured on the CPU"),
        ('latency_ms = { max = 5, device = "tpu9" }', '"latency_ms"', "the device must be"),
        ('latency_ms = { max = 5, table = "none.csv" }', '"latency_ms"', "none.csv"),
        ("memory_mb = { max = 1, batch = 0 }", '"memory_mb"', "batch must be a whole number from 1; given 0"),
        ("params = { max = 5000 }", '"latency_ms"', "cost = 'latency_ms' needs a line for it in .constraints."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(folder, constraints, cost, message):
    write(constraints, cost=cost)
    done = run("search", "s.toml", "--device", "cpu")
    assert isinstance(done.exception, ns.InvalidInputError), done.output
    assert re.search(message, str(done.exception))
    assert "\n" not in str(done.exception)


def test_a_space_of_few_networks_is_measured_whole_and_refined_without_measuring_again(folder):
    Path("s.toml").write_text(
        STUDY.format(constraints=LIMIT, more="", n=3, cost='"latency_ms"')
        .replace('width = { type = "int", low = 1, high = 40 }', "width = [1, 4, 40]")
        .replace("top_k = 4\ncontrol = 2", "top_k = 2\ncontrol = 0")
    )
    result = ns.search("s.toml", device="cpu")
    assert sorted(map(width_of, result.trials)) == [1, 4]
    assert len(latencies()["rows"]) == 3
    before = latencies()
    done = run("refine", "fast", "--finalists", "2", "--epochs", "2", "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = StudyStorage("sqlite:///nas_sens.db").attributes("fast-refined")[LATENCIES]
    assert found == before
    refined = read_result(StudyStorage("sqlite:///nas_sens.db"), "fast-refined")
    assert [t.figures["latency_ms"] for t in refined.trials] == [
        next(o.figures["latency_ms"] for o in result.trials if width_of(o) == width_of(t)) for t in refined.trials
    ]
