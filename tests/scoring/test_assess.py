"""Scores of untrained candidates: protocol, order, errors, and candidates that cannot be scored."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from nas_sens.architectures import count_flops, count_params
from nas_sens.architectures.cell import CellSpec
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.candidates import STATUS_OK
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.metrics.measurement import measure
from nas_sens.scoring.assess import assess_many
from nas_sens.scoring.probe import Probe, probe_inputs
from nas_sens.scoring.score import score, summarize
from nas_sens.study.proposal import Proposal
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import SearchSpace

SPEC = ScoreSpec(estimator="monte_carlo", n_inputs=40, seeds=3)
RTOL = 1e-9
SPACE = SearchSpace(
    name="mine",
    families={
        "fc": {"depth": {"type": "int", "low": 0, "high": 3}, "width": {"type": "int", "low": 2, "high": 10**9}},
        "cnn": {"depth": [1, 2], "channels": 3, "kernel": [3, 5, 9]},
    },
    constraints={"params": {"max": 10**20}},
)
FC = FCSpec(depth=2, width=9)
CNN = CNNSpec(depth=2, channels=3)


def assess(space, proposed, splits, probe):
    """Return one proposed architecture as a candidate."""
    ((record, _),) = assess_many(space, [proposed], splits, probe)
    return record


def value(architecture, probe, model=None):
    model = architecture.skeleton((1, 8, 8), 10).to_empty(device="cpu") if model is None else model
    return score(architecture, model, probe)


def proposal(architecture):
    return Proposal({"family": architecture.family}, architecture, False)


@pytest.fixture(scope="module")
def probe(digits):
    return Probe(digits.x_val, SPEC, seed=7)


def test_a_score_is_the_mean_of_eq_2_over_networks(digits, probe):
    x = digits.x_val[:40]
    values = []
    for i in range(3):
        model = FC.build((1, 8, 8), 10, generator=torch.Generator())
        initialize_(model, "standard_normal", generator=probe.numbers.network(i))
        noise = torch.randn(x.shape, generator=make_generator("input noise", 7, i)) * 0.1
        both = model.eval()(torch.cat([x, x + noise])).detach().double().numpy()
        values.append(np.var((both[40:] - both[:40]).mean(axis=1), ddof=1))
    found = value(FC, probe)
    assert found.log10_sensitivity == pytest.approx(math.log10(np.mean(values)), rel=RTOL)
    expected_stderr = np.std(values, ddof=1) / math.sqrt(3) / np.mean(values) / math.log(10)
    assert found.stderr == pytest.approx(expected_stderr, rel=RTOL)
    assert (found.status, found.estimator) == (STATUS_OK, "monte_carlo")


def test_scores_do_not_depend_on_the_order_of_candidates_or_on_the_models_past(digits, same_global_rng):
    candidates = [FC, CNN, FCSpec(depth=1, width=3, dropout=0.5), FCSpec(depth=1, width=4, batch_norm=True)]
    forwards = Probe(digits.x_val, SPEC, seed=7)
    first = [value(c, forwards) for c in candidates]
    backwards = Probe(digits.x_val, SPEC, seed=7)
    assert [value(c, backwards) for c in reversed(candidates)] == first[::-1]
    used = FC.build((1, 8, 8), 10, generator=torch.Generator().manual_seed(5))
    assert value(FC, forwards, used) == first[0]


def test_seed_inputs_and_number_of_networks_matter(digits):
    base = value(FC, Probe(digits.x_val, SPEC, seed=7))
    assert value(FC, Probe(digits.x_val, SPEC, seed=8)) != base
    assert value(FC, Probe(digits.x_val[40:], SPEC, seed=7)) != base
    assert value(FC, Probe(digits.x_val[:40], SPEC, seed=7)) == base, "only n_inputs inputs are looked at"
    assert value(FC, Probe(digits.x_val, dataclasses.replace(SPEC, seeds=4), seed=7)) != base


def test_the_probe_is_not_the_initialisation_that_training_starts_from(digits):
    he, scaled = (FCSpec(depth=2, width=9, init="he_normal", init_scale=s) for s in (1.0, 2.0))
    own = Probe(digits.x_val, dataclasses.replace(SPEC, probe_init="own", seeds=30), seed=7)
    sn = Probe(digits.x_val, dataclasses.replace(SPEC, seeds=30), seed=7)
    # Eq. 10 with weights of variance 2 / fan-in, that is 2/64, 2/9, 2/9, in place of 1; a scale of 2 on three layers.
    ratio = value(he, own).log10_sensitivity - value(he, sn).log10_sensitivity
    assert ratio == pytest.approx(math.log10(2 / 64 * 2 / 9 * 2 / 9), abs=0.35)
    assert value(scaled, own).log10_sensitivity - value(he, own).log10_sensitivity == pytest.approx(
        math.log10(64), abs=0.35
    )
    assert value(scaled, sn).log10_sensitivity - value(he, sn).log10_sensitivity == pytest.approx(0, abs=0.35)


def test_relative_sensitivity_is_noise_power_over_signal(digits, probe):
    x, power, signal = digits.x_val[:40], [], []
    for i in range(3):
        model = FC.build((1, 8, 8), 10)
        initialize_(model, "standard_normal", generator=probe.numbers.network(i))
        noise = torch.randn(x.shape, generator=make_generator("input noise", 7, i)) * 0.1
        clean, noisy = (model.eval()(z).detach().double().numpy() for z in (x, x + noise))
        power.append(np.mean(np.sum((noisy - clean) ** 2, axis=1)))
        signal.append(np.sum(np.var(clean, axis=0, ddof=1)))
    expected = math.log10(sum(power) / sum(signal))
    assert value(FC, probe).log10_relative_sensitivity == pytest.approx(expected, rel=1e-6)
    exact = Probe(digits.x_val, dataclasses.replace(SPEC, estimator="closed_form"), seed=7)
    assert value(FC, exact).log10_relative_sensitivity == pytest.approx(expected, abs=0.3)


def test_precision_adds_networks_until_it_is_reached(digits):
    for precision, expected in ((10.0, {3}), (0.12, {6, 12, 24}), (1e-9, {24})):
        spec = dataclasses.replace(SPEC, precision=precision, max_seeds=24)
        found = value(FC, Probe(digits.x_val, spec, seed=7))
        assert found.n_seeds in expected
        assert found.n_seeds == 24 or found.stderr <= precision
        whole = value(FC, Probe(digits.x_val, dataclasses.replace(SPEC, seeds=found.n_seeds), seed=7))
        assert (found.log10_sensitivity, found.stderr) == (whole.log10_sensitivity, whole.stderr)
    with pytest.raises(ValueError, match="given seeds = 1, max_seeds = 64"):
        ScoreSpec(seeds=1, precision=0.1)


def test_networks_that_are_there_are_not_drawn_again(digits, probe, monkeypatch):
    whole = value(FC, Probe(digits.x_val, dataclasses.replace(SPEC, seeds=7), seed=7))
    first = value(FC, probe)
    drawn = []
    monkeypatch.setattr("nas_sens.scoring.score.initialize_", lambda *a, **k: (drawn.append(1), initialize_(*a, **k)))
    model = FC.skeleton((1, 8, 8), 10).to_empty(device="cpu")
    assert score(FC, model, probe, earlier=first, n_seeds=7) == whole
    assert len(drawn) == 4


def test_noise_that_is_not_kept_is_drawn_the_same_again(digits, probe):
    small = Probe(digits.x_val, SPEC, seed=7, kept_bytes=2 * 4 * 40 * 64)
    assert value(FC, small) == value(FC, probe)
    assert len(small._pairs) == 1


def test_inputs_of_the_probe(digits):
    by_class = digits.y_val.argsort()
    data = dataclasses.replace(digits, x_val=digits.x_val[by_class], y_val=digits.y_val[by_class])  # as many sets are
    for inputs, x, y in (("validation", data.x_val, data.y_val), ("train", data.x_train, data.y_train)):
        spec = dataclasses.replace(SPEC, inputs=inputs)
        found, labels = probe_inputs(data, spec, seed=0)
        assert torch.bincount(labels).tolist() == [4] * 10
        rows = [int((x == one).flatten(1).all(1).nonzero()[0, 0]) for one in found]
        assert len(set(rows)) == 40
        assert torch.equal(y[rows], labels)
        assert torch.equal(found, probe_inputs(data, spec, seed=0)[0])
        assert not torch.equal(found, probe_inputs(data, spec, seed=1)[0])
        whole = probe_inputs(data, dataclasses.replace(spec, n_inputs=len(x)), seed=0)
        assert torch.equal(whole[0], x)
        assert torch.equal(whole[1], y)
    targets = dataclasses.replace(data, task="regression", y_val=torch.rand(len(data.y_val), 1))
    assert probe_inputs(targets, SPEC, seed=0)[1] is None
    many = dataclasses.replace(SPEC, inputs="gaussian", n_inputs=4000)
    gaussian, labels = probe_inputs(digits, many, seed=0)
    assert labels is None
    assert torch.equal(gaussian, probe_inputs(digits, many, seed=0)[0])
    assert not torch.equal(gaussian, probe_inputs(digits, many, seed=1)[0])
    torch.testing.assert_close(gaussian.mean(0), digits.x_val.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(gaussian.std(0), digits.x_val.std(0), atol=0.03, rtol=0)


def test_many_together_are_each_alone(digits):
    probe = Probe(digits.x_val, dataclasses.replace(SPEC, estimator="auto"), seed=7)
    candidates = [
        FC,
        CNN,
        FCSpec(depth=3, width=5),
        FCSpec(depth=2, width=9, activation="tanh"),
        CNNSpec(depth=1, channels=3, kernel=9),
    ]
    candidates += [FCSpec(depth=2, width=10**9), FCSpec(depth=2, width=33, init="he_normal")]
    together = list(assess_many(SPACE, [proposal(c) for c in candidates], digits, probe))
    for (record, result), c in zip(together, candidates, strict=True):
        alone = assess(SPACE, proposal(c), digits, probe)
        assert dataclasses.replace(
            record, log10_sensitivity=None, log10_relative_sensitivity=None
        ) == dataclasses.replace(alone, log10_sensitivity=None, log10_relative_sensitivity=None)
        assert (result is None) == (not record.feasible or record.status.startswith("too large"))
        if record.is_ok:
            assert record.log10_sensitivity == pytest.approx(alone.log10_sensitivity, rel=1e-12)
            model = c.skeleton((1, 8, 8), 10).to_empty(device="cpu")
            assert record.log10_sensitivity == pytest.approx(score(c, model, probe).log10_sensitivity, rel=1e-9)
            assert (record.params, record.flops) == (count_params(model), count_flops(model, (1, 8, 8)))
    assert [r.estimator for r, _ in together] == ["closed_form"] * 3 + ["monte_carlo", None, None, "closed_form"]


def test_further_measures_are_those_of_the_candidates_own_initialisation(digits):
    spec = dataclasses.replace(SPEC, estimator="auto", metrics=("naswot", "grad_norm", "linear_regions"))
    with_labels = Probe(digits.x_val, spec, seed=7, y=digits.y_val[:40])
    he = FCSpec(depth=2, width=60, init="he_normal")
    record = assess(SPACE, proposal(he), digits, with_labels)
    assert sorted(record.measures) == ["grad_norm", "linear_regions", "naswot"]
    model = he.build((1, 8, 8), 10)
    generator = make_generator("measures", he.digest, 7)
    expected = measure(
        model,
        digits.x_val[:40],
        digits.y_val[:40],
        metrics=spec.metrics,
        seeds=3,
        init="he_normal",
        generator=generator,
    )
    assert record.measures == {m.name: m.value for m in expected}
    assert (
        record.log10_sensitivity
        == assess(
            SPACE, proposal(he), digits, Probe(digits.x_val, dataclasses.replace(spec, metrics=()), seed=7)
        ).log10_sensitivity
    )
    without = assess(SPACE, proposal(FCSpec(depth=1, width=90)), digits, Probe(digits.x_val, spec, seed=7))
    assert sorted(without.measures) == ["linear_regions", "naswot"], "there are no labels"
    with pytest.raises(ValueError, match="unknown metric 'naswott'; did you mean 'naswot'"):
        ScoreSpec(metrics=("naswott",))


def test_after_softmax_is_another_measure(digits):
    probe = Probe(digits.x_val, dataclasses.replace(SPEC, probe_init="he_normal", after_softmax=True), seed=7)
    assert -8 < value(FC, probe).log10_sensitivity < 0


def test_mean_sensitivity_is_the_mean_over_noise_draws(probe, generator):
    model = FC.build((1, 8, 8), 10, generator=generator).eval()
    each = [probe.sensitivity(model, i).item() for i in range(3)]
    assert len(set(each)) == 3
    assert probe.mean_sensitivity(model).item() == pytest.approx(np.mean(each), rel=RTOL)


@pytest.mark.parametrize(
    "values", [[2.0, 2.0], [1e-30, 3e-30], [1e200, 2e200, 4e200], [0.0, 1.0, 5.0], [1.0, 3.0, 1.0, 9.0]]
)
def test_summary_of_networks(values):
    found = summarize([(v, 3 * v, 2 * v) for v in values])
    assert found.log10_sensitivity == pytest.approx(math.log10(np.mean(values)), rel=RTOL, abs=RTOL)
    assert found.log10_relative_sensitivity == pytest.approx(math.log10(1.5), rel=RTOL)
    assert found.n_seeds == len(values)
    relative = np.array(values) / np.mean(values)
    assert found.stderr == pytest.approx(relative.std(ddof=1) / math.sqrt(len(values)) / math.log(10), rel=RTOL)
    assert summarize([(values[-1], 1.0, 0.0)]).stderr is None
    assert summarize([(values[-1], 1.0, 0.0)]).log10_relative_sensitivity is None


def test_standard_error_is_that_of_repeated_scores(digits):
    probes = [Probe(digits.x_val, dataclasses.replace(SPEC, seeds=16), seed=s) for s in range(40)]
    scores = [value(FC, p) for p in probes]
    spread = np.std([s.log10_sensitivity for s in scores], ddof=1)
    assert np.mean([s.stderr for s in scores]) == pytest.approx(spread, rel=0.4)  # sd of 40 values: ±11 %


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([0.0, 0.0], "dead: input noise moves no output of 2 untrained networks (S = 0)"),
        ([1.0, math.inf, math.nan], "non-finite: the outputs of 2 of 3 untrained networks overflow"),
        ([0.0, math.nan], "non-finite: the outputs of 1 of 2 untrained networks overflow"),
    ],
)
def test_dead_and_non_finite_have_no_score(values, status):
    found = summarize([(v, 1.0, 1.0) for v in values])
    assert (found.log10_sensitivity, found.stderr, found.status) == (None, None, status)


def test_dead_and_overflowing_candidates_are_found(digits):
    own = Probe(digits.x_val, dataclasses.replace(SPEC, probe_init="own"), seed=7)
    assert value(FCSpec(depth=1, width=9, init_scale=0.0), own).status.startswith("dead: ")
    assert value(FCSpec(depth=2, width=9, init_scale=1e120), own).status.startswith("non-finite: ")


def test_networks_that_overflow_float32_are_scored_in_float64(digits):
    own = dataclasses.replace(SPEC, probe_init="own")
    small, huge = (FCSpec(depth=2, width=9, init_scale=s, bias=False) for s in (1.0, 1e20))
    generator = torch.Generator().manual_seed(0)
    found = value(huge, Probe(digits.x_val, dataclasses.replace(own, seeds=64), seed=7))
    reference = value(small, Probe(digits.x_val, dataclasses.replace(own, seeds=64), seed=7))
    assert found.status == STATUS_OK
    assert found.n_seeds == 64
    assert found.log10_sensitivity - reference.log10_sensitivity == pytest.approx(120, abs=0.5)
    assert value(huge, Probe(digits.x_val, dataclasses.replace(own, seeds=64), seed=7)) == found
    assert generator.initial_seed() == 0


def test_a_reduced_network_is_scored_in_place_of_the_full_one(digits):
    spec = dataclasses.replace(SPEC, reduced={"width": 5, "channels": 2})
    record = assess(SPACE, proposal(FC), digits, Probe(digits.x_val, spec, seed=7))
    small = dataclasses.replace(FC, width=5)
    expected = assess(SPACE, proposal(small), digits, Probe(digits.x_val, SPEC, seed=7))
    assert record.log10_sensitivity == expected.log10_sensitivity
    assert record.digest == FC.digest
    assert record.params == assess(SPACE, proposal(FC), digits, Probe(digits.x_val, SPEC, seed=7)).params
    with pytest.raises(InvalidInputError, match=r"score\.reduced\.width must be"):
        assess(
            SPACE, proposal(FC), digits, Probe(digits.x_val, dataclasses.replace(SPEC, reduced={"width": 0}), seed=7)
        )


def test_cells_that_compute_the_same_are_scored_once(digits, monkeypatch):
    one = CellSpec.from_string(
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|", channels=4, cells_per_stage=1
    )
    same = dataclasses.replace(one, op_1_0="none", op_2_0="nor_conv_3x3", op_3_1="none", op_3_2="skip_connect")
    other = dataclasses.replace(one, op_1_0="nor_conv_1x1")
    assert one.canonical == same.canonical != other.canonical
    drawn = []
    monkeypatch.setattr("nas_sens.scoring.score.initialize_", lambda *a, **k: (drawn.append(1), initialize_(*a, **k)))
    probe = Probe(digits.x_val, SPEC, seed=7)
    space = SearchSpace(
        name="cells",
        families={"cell": {f.name: getattr(one, f.name) for f in dataclasses.fields(one) if f.name.startswith("op")}},
    )
    records = [r for r, _ in assess_many(space, [proposal(c) for c in (one, same, other)], digits, probe)]
    assert len(drawn) == 2 * SPEC.seeds
    a, b, c = (r.log10_sensitivity for r in records)
    assert a == b != c
    assert len({r.digest for r in records}) == 3
    assert assess(space, proposal(same), digits, probe).log10_sensitivity == a


def test_assessed_candidates_are_counted_and_scored(digits, probe):
    for architecture in (FC, CNN):
        record = assess(SPACE, proposal(architecture), digits, probe)
        model = architecture.build((1, 8, 8), 10, generator=torch.Generator())
        assert record.is_ok
        assert record.params == count_params(model)
        assert record.flops == count_flops(model, (1, 8, 8))
        assert json.loads(record.architecture) == architecture.to_dict()
        assert record.digest == architecture.digest
        assert record.log10_sensitivity == value(architecture, probe).log10_sensitivity
        assert record.params_sampled == {"family": architecture.family}


@pytest.mark.parametrize(
    ("architecture", "constraints", "status"),
    [
        (CNNSpec(depth=1, channels=3, kernel=9), {}, "infeasible: conv layer 1: a kernel of 9 is larger"),
        (FC, {"params": {"max": 100}}, "infeasible: params = 775 is above the maximum of 100"),
        (FC, {"flops": {"min": 10**6}}, "infeasible: flops = 1494 is below the minimum of 1000000"),
        (FC, {"depth": {"min": 3}}, "infeasible: depth = 2 is below the minimum of 3"),
    ],
)
def test_infeasible_candidates_are_recorded_with_the_reason_and_not_scored(
    digits, probe, architecture, constraints, status
):
    space = SearchSpace(name="mine", families=SPACE.families, constraints=constraints)
    record = assess(space, proposal(architecture), digits, probe)
    assert not record.feasible
    assert not record.is_ok
    assert record.status.startswith(status)
    assert (record.log10_sensitivity, record.estimator) == (None, None)


def test_too_large_is_a_status(digits, probe):
    record = assess(SPACE, proposal(FCSpec(depth=2, width=10**8)), digits, probe)  # 40,000 terabytes
    assert record.status == "too large: the candidate does not fit in memory"
    assert record.feasible
    assert not record.is_ok
    assert record.params > 10**16


def test_a_mistake_in_the_code_is_no_status(digits, probe, monkeypatch):
    def broken(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Probe, "statistics", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        assess(SPACE, proposal(FC), digits, probe)


def test_a_single_input_is_refused(digits):
    with pytest.raises(InvalidInputError, match="at least 2 inputs; given 1"):
        Probe(digits.x_val[:1], SPEC, seed=0)


def test_a_score_in_double_precision_leaves_the_network_as_it_was(digits):
    deep = FCSpec(depth=45, width=200, init="standard_normal")  # whose outputs overflow float32
    model = deep.build((1, 8, 8), 10, generator=torch.Generator().manual_seed(0))
    kinds = {name: (t.dtype, t.shape) for name, t in model.state_dict().items()}
    spec = dataclasses.replace(SPEC, estimator="monte_carlo", seeds=2)
    found = score(deep, model, Probe(digits.x_val, spec, seed=0))
    assert found.status == "ok"
    assert found.log10_sensitivity > 38
    assert {name: (t.dtype, t.shape) for name, t in model.state_dict().items()} == kinds


def test_metrics_of_a_network_that_overflows_are_there_or_say_why(digits):
    metrics = ("grad_norm", "params", "l2_norm", "naswot")
    spec = dataclasses.replace(SPEC, estimator="monte_carlo", seeds=2, metrics=metrics)
    deep = FCSpec(depth=45, width=200, init="he_normal")
    x, y = probe_inputs(digits, spec, seed=0)
    record = assess(SPACE, proposal(deep), digits, Probe(x, spec, seed=0, y=y))
    assert record.is_ok
    assert set(record.measures) == set(metrics)
    assert record.measure_problems == {}
    huge = dataclasses.replace(deep, init="standard_normal")
    record = assess(SPACE, proposal(huge), digits, Probe(x, spec, seed=0, y=y))
    assert {"params", "l2_norm", "naswot"} <= set(record.measures) | set(record.measure_problems)
    assert set(record.measures) | set(record.measure_problems) == set(metrics)
    assert not set(record.measures) & set(record.measure_problems)
    assert "must have the same dtype" not in str(record.measure_problems)
