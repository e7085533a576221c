"""Measures by default: of which candidates, what they are, and that they are never in the way."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from pathlib import Path

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.architectures.initialization import initialize_
from nas_sens.architectures.user_builder import family_of
from nas_sens.metrics.measurement import measure
from nas_sens.scoring.assess import assess_many
from nas_sens.scoring.probe import Probe
from nas_sens.selection.features import selection_features
from nas_sens.study.proposal import Proposal
from nas_sens.study.score_spec import DEFAULT_METRICS, ScoreSpec
from tests.tiny_study import tiny

CNN = ns.CNNSpec(depth=2, channels=5, max_pool=True, padding=1, init="he_normal")
FC = ns.FCSpec(depth=2, width=9)
SPEC = ScoreSpec(n_inputs=40, seeds=2)
SPACE = ns.SearchSpace(name="any", families={"fc": {"depth": 1, "width": [1, 2]}})


def probe_of(splits, spec=SPEC):
    return Probe(splits.x_val, spec, seed=7, y=splits.y_val[:40])


def assess(splits, *specs, spec=SPEC):
    proposals = [Proposal({"family": s.family}, s, False) for s in specs]
    return [record for record, _ in assess_many(SPACE, proposals, splits, probe_of(splits, spec))]


def test_they_are_the_measures_of_one_network_on_32_inputs(digits):
    expected = {}
    specs = [CNN, ns.FCSpec(depth=40, width=60, init="standard_normal", activation="gelu")]
    for spec in specs:
        probe = probe_of(digits)
        model = spec.blank((1, 8, 8), 10, device="cpu")
        initialize_(model, spec.init, generator=probe.numbers.network(0))
        found = measure(model, probe.x[:32], metrics=DEFAULT_METRICS)
        expected[spec.digest] = {m.name: m.value for m in found if m.value is not None}
    for order in (1, -1):
        for record in assess(
            digits, *[CNN, ns.FCSpec(depth=40, width=60, init="standard_normal", activation="gelu")][::order]
        ):
            assert record.is_ok
            assert record.measures == pytest.approx(expected[record.digest], rel=1e-5)
            assert set(record.measure_problems) == set(DEFAULT_METRICS) - set(record.measures)
    assert set(expected[CNN.digest]) == set(DEFAULT_METRICS)


def test_fully_connected_candidates_that_need_no_network_have_none(digits):
    # Wide: of few units codes of 32 inputs are dependent, and rounding decides whether there is a determinant.
    batched, alone = assess(digits, FC, ns.FCSpec(depth=2, width=90, taper=0.5))
    assert (batched.measures, batched.measure_problems) == ({}, {})
    assert set(alone.measures) == set(DEFAULT_METRICS)
    (named,) = assess(digits, dataclasses.replace(FC, width=90), spec=dataclasses.replace(SPEC, metrics=("naswot",)))
    assert set(named.measures) == {"naswot"}
    for metrics in ("none", (), []):
        (none,) = assess(digits, CNN, spec=dataclasses.replace(SPEC, metrics=metrics))
        assert (none.measures, none.measure_problems) == ({}, {})


class Shy(nn.Module):
    """Fails wherever a gradient is asked for."""

    def __init__(self, n: int):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, n))

    def forward(self, x):
        if x.requires_grad:
            raise ValueError("no gradients here")
        return self.body(x)


def test_what_cannot_be_measured_is_recorded_and_nothing_fails(digits):
    (tanh,) = assess(digits, dataclasses.replace(CNN, activation="tanh"))
    assert tanh.is_ok
    assert set(tanh.measures) == {"synflow", "jacob_cov"}
    assert "ReLU modules are needed" in tanh.measure_problems["naswot"]

    def shy(input_shape, n_outputs) -> nn.Module:
        return Shy(n_outputs)

    (record,) = assess(digits, family_of(shy)())
    assert record.is_ok
    assert record.trainable_layers == 2
    assert "naswot" not in record.measures
    assert "no gradients here" in record.measure_problems["jacob_cov"]


def test_trainable_layers_are_known_of_every_candidate(digits):
    specs = (CNN, FC, dataclasses.replace(CNN, hidden_units=6, batch_norm=True), dataclasses.replace(FC, taper=0.5))
    records = assess(digits, *specs)
    for spec, record in zip(specs, records, strict=True):
        layers = [m for m in spec.build((1, 8, 8), 10).modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
        assert selection_features(record).features["trainable_layers"] == len(layers)
    assert [r.trainable_layers for r in records[:2]] == [3, None], "told by the declaration"


@pytest.mark.parametrize("given", ["naswot", 3, [3], {"a": 1}])
def test_what_may_be_declared_is_said(given):
    with pytest.raises(ValueError, match=r'must be "auto", "none" or a list of names'):
        ScoreSpec(metrics=given)
    assert ScoreSpec().metrics == "auto"
    assert ScoreSpec(metrics=[]).metrics == ScoreSpec(metrics=()).metrics == "none"


@pytest.mark.parametrize("left_by_older", [{"metrics": []}, {}])
def test_a_study_that_was_begun_without_goes_on_without(tmp_path: Path, left_by_older: dict[str, object]) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    space = ns.SearchSpace(name="cnns", families={"cnn": {"depth": 1, "channels": [2, 3, 4, 5], "max_pool": True}})
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=2), score=ns.ScoreSpec(seeds=2, n_inputs=16))
    without = dataclasses.replace(spec, score=dataclasses.replace(spec.score, metrics="none"))
    ns.search(without, storage=url)
    with pytest.raises(ns.InvalidInputError, match=r"score.metrics: 'none' stored, 'auto' given"):
        ns.search(spec, storage=url)
    with sqlite3.connect(tmp_path / "a.db") as database:
        ((text,),) = database.execute("SELECT value_json FROM study_user_attributes WHERE key = 'study'").fetchall()
        study = json.loads(json.loads(text))
        del study["score"]["metrics"]
        study["score"] |= left_by_older
        database.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'study'", (json.dumps(json.dumps(study)),)
        )
    more = dataclasses.replace(spec, search=ns.SearchSpec(n_candidates=3))
    found = ns.search(more, storage=url)
    assert len(found.candidates) == 3
    assert not any(c.measures or c.measure_problems for c in found.candidates)


def test_a_study_has_them_by_default(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="cnns", families={"cnn": {"depth": 1, "channels": [2, 3], "max_pool": True}})
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=2), score=ns.ScoreSpec(seeds=2, n_inputs=16))
    found = ns.search(spec, storage=f"sqlite:///{tmp_path}/a.db")
    assert all(set(c.measures) == set(DEFAULT_METRICS) for c in found.candidates)
    assert [c.trainable_layers for c in found.candidates] == [2, 2]
    assert found.protocol["score"]["metrics"] == "auto"
    assert torch.is_grad_enabled()
