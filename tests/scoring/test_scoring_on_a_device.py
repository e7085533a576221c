"""What scoring must do on an accelerator, with every family, also one that is new: mix no devices, and wait once.

The device is not there (see `tests.fake_device`): shapes, types, devices and the order of work are checked, not values.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nas_sens.architectures import families
from nas_sens.architectures.initialization import SelfInitialized
from nas_sens.core.candidates import STATUS_OK
from nas_sens.core.identity import make_generator
from nas_sens.core.init_schemes import INIT_SCHEMES
from nas_sens.metrics.closed_form.expectation import InputMoments, NoClosedFormError, closed_form
from nas_sens.scoring.assess import assess_many
from nas_sens.scoring.probe import Probe, probe_inputs
from nas_sens.scoring.score import score
from nas_sens.study.lists import ListOf
from nas_sens.study.proposal import Proposal
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import SearchSpace
from nas_sens.training.evaluation import evaluate
from nas_sens.training.limits import Limits
from tests.example_specs import SHAPE, example
from tests.fake_device import DEVICE, Watch, fake_device

K, N = 7, 12
MONTE_CARLO = ScoreSpec(estimator="monte_carlo", n_inputs=N, seeds=3)
PATHS = {
    "plain": MONTE_CARLO,
    "after_softmax": dataclasses.replace(MONTE_CARLO, after_softmax=True),
    "own_init": dataclasses.replace(MONTE_CARLO, probe_init="own"),
}


@pytest.fixture(params=families().values(), ids=lambda family: family.family)
def spec(request):
    found = example(request.param)
    return dataclasses.replace(found, cells_per_stage=1) if hasattr(found, "cells_per_stage") else found


def probe_of(spec, **options):
    x = torch.rand((N, *SHAPE), device=DEVICE)
    return Probe(x, spec, seed=0, y=torch.arange(N, device=DEVICE) % K, **options)


def blank(spec):
    return spec.blank(SHAPE, K, device=DEVICE)


def assert_waited_once(watch: Watch, model=None):
    """A network of timm draws its weights on the CPU, seeded by a number of the device's stream, which it waits for."""
    if not isinstance(model, SelfInitialized):
        assert watch.reads
        assert not watch.late, f"waits for the device ({watch.reads}) before it gives it more work"


@pytest.mark.parametrize("kept_bytes", [2**28, 0], ids=["kept", "drawn"])
@pytest.mark.parametrize("path", PATHS)
def test_a_score_waits_for_the_device_once(spec, path, kept_bytes):
    with fake_device() as watch:
        model = blank(spec)
        found = score(spec, model, probe_of(PATHS[path], kept_bytes=kept_bytes))
        assert (found.status, found.n_seeds, found.log10_relative_sensitivity) == (STATUS_OK, 3, 0.0)
    assert_waited_once(watch, model)


def test_statistics_do_not_wait_at_all(spec):
    with fake_device() as watch:
        model = spec.build(SHAPE, K, generator=make_generator("weights", device=DEVICE), device=DEVICE).eval()
        n_reads = len(watch.reads)
        with torch.inference_mode():
            found = probe_of(MONTE_CARLO).statistics(model, 0)
            mean = probe_of(MONTE_CARLO).mean_sensitivity(model)
        assert (found.shape, found.dtype, found.device.type) == ((3,), torch.float64, DEVICE.type)
        assert (mean.shape, mean.device.type) == ((), DEVICE.type)
        assert len(watch.reads) == n_reads


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_every_scheme_draws_on_the_device(spec, scheme):
    with fake_device() as watch:
        own = dataclasses.replace(spec, init=scheme, init_scale=2.0)
        model = own.build(SHAPE, K, generator=make_generator("weights", device=DEVICE), device=DEVICE)
        assert {t.device.type for t in model.state_dict().values()} == {DEVICE.type}
        assert isinstance(model, SelfInitialized) or not watch.reads


def test_more_networks_of_a_race_and_of_a_precision_wait_once_each(spec):
    with fake_device() as watch:
        model, probe = blank(spec), probe_of(MONTE_CARLO)
        first = score(spec, model, probe)
        watch.reads.clear()
        assert score(spec, model, probe, earlier=first, n_seeds=6).n_seeds == 6
        assert len(set(watch.reads)) == 1
    precise = dataclasses.replace(MONTE_CARLO, seeds=2, precision=0.01, max_seeds=8)
    with fake_device(1, 1, 1, 9, 1, 1, 1) as watch:  # S of the two first networks are 1 and 9
        model = blank(spec)
        n = score(spec, model, probe_of(precise)).n_seeds
    assert n == 8 or isinstance(model, SelfInitialized)


@pytest.mark.parametrize("has_float64", [True, False])
def test_networks_that_overflow_are_drawn_again_in_float64_where_there_is_that(spec, has_float64):
    with fake_device(float("inf"), has_float64=has_float64):
        model = blank(spec)
        found = score(spec, model, probe_of(MONTE_CARLO))
        assert found.status.startswith("non-finite")
        assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_closed_form_reads_no_weights(spec):
    moments = InputMoments.from_inputs(torch.rand(N, *SHAPE, generator=torch.Generator().manual_seed(0)), n_inputs=4)
    with fake_device() as watch:
        model = blank(spec).eval()
    n_reads = len(watch.reads)
    try:  # what is computed on the CPU is not fake
        found = closed_form(model, moments).log10_sensitivity
    except NoClosedFormError:
        found = None
    assert len(watch.reads) == n_reads
    try:
        assert found == closed_form(spec.skeleton(SHAPE, K).eval(), moments).log10_sensitivity
    except NoClosedFormError:
        assert found is None


@pytest.mark.parametrize("has_float64", [True, False])
def test_a_candidate_is_counted_scored_and_measured(spec, has_float64, digits):
    """The whole way of one candidate of a search, Gaussian inputs included."""
    values = {k: ListOf(v) if isinstance(v, (list, tuple)) else v for k, v in spec.to_dict().items() if k != "family"}
    space = SearchSpace(name="one", families={spec.family: values})
    declared = dataclasses.replace(MONTE_CARLO, inputs="gaussian", metrics=("naswot", "l2_norm", "flops"))
    with fake_device(has_float64=has_float64) as watch:
        splits = _moved(digits)
        probe = Probe(*probe_inputs(splits, declared, seed=0)[:1], declared, seed=0)
        proposal = Proposal({"family": spec.family}, spec, False)
        ((record, _),) = assess_many(space, [proposal], splits, probe)
        assert record.status == STATUS_OK
        assert record.params
        assert record.flops
        assert set(record.measures) | set(record.measure_problems) == set(declared.metrics)
        assert "l2_norm" in record.measures
    assert watch.work


@pytest.mark.parametrize("has_float64", [True, False])
def test_evaluation_in_training_does_not_wait(spec, has_float64):
    with fake_device(has_float64=has_float64) as watch:
        model = spec.build(SHAPE, K, generator=make_generator("weights", device=DEVICE), device=DEVICE)
        watch.reads.clear()
        x, y = torch.rand((N, *SHAPE), device=DEVICE), torch.arange(N, device=DEVICE) % K
        limits = Limits(evaluation_batch=5)
        loss, error = evaluate(model, x, y, task="classification", loss="cross_entropy", limits=limits)
        assert {loss.dtype, error.dtype} == {torch.float64}
        assert {loss.device.type, error.device.type} == {DEVICE.type if has_float64 else "cpu"}
        assert not (has_float64 and watch.reads)


def _moved(splits):
    """Return splits with validation inputs on the device, without values; of the others nothing is asked here."""
    return dataclasses.replace(splits, x_val=torch.rand((N, *SHAPE), device=DEVICE))
