"""What every metric must do on an accelerator, also one that is new: mix no devices, and wait for it only at its end.

Of the metrics that need no backward pass, which fake tensors of a device that is not there cannot take.
"""

from __future__ import annotations

import pytest
import torch

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.resnet import ResNetSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.metrics import Metric, metrics
from nas_sens.metrics.measurement import measure
from nas_sens.metrics.sensitivity_profile import sensitivity_by_sample, sensitivity_sweep
from nas_sens.metrics.temperature import temperature
from tests.fake_device import DEVICE, fake_device

SHAPE, K, N = (2, 8, 8), 3, 12
NETWORKS = {
    "fc": FCSpec(depth=2, width=8, batch_norm=True, dropout=0.3),
    "cnn": CNNSpec(depth=2, channels=4, padding=1, hidden_units=6, batch_norm=True, dropout=0.3),
    "resnet": ResNetSpec(stages=2, blocks=1, width=4, batch_norm=True),
}
FORWARD = {name: m for name, m in metrics().items() if "backward" not in m.cost}
CHAINS_ONLY = (
    *("norm_product", "bias_term", "normalized_loss", "l1_normalized_loss"),
    *("normalized_margin", "smallest_margin", "normalized_top_output", "normalized_top_spread"),
)


def network(name="cnn"):
    return NETWORKS[name].build(SHAPE, K, generator=make_generator("weights", device=DEVICE), device=DEVICE)


def inputs():
    return torch.randn((N, *SHAPE), device=DEVICE), torch.arange(N, device=DEVICE) % K


def value(metric: Metric, model, x, y):
    more = {"reference": x[1]} if metric.takes_reference else {}
    return metric.function(model, x, y, generator=make_generator("draws", device=x.device), **more)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("name", FORWARD)
def test_the_device_is_waited_for_once_and_last(name, architecture):
    with fake_device() as watch:
        model, (x, y) = network(architecture), inputs()
        if architecture == "resnet" and name in CHAINS_ONLY:
            with pytest.raises(InvalidInputError, match="chain"):
                value(FORWARD[name], model, x, y)
        else:
            assert type(value(FORWARD[name], model, x, y)) is float
    assert watch.work
    assert not watch.late, f"{name} waits for the device ({watch.reads}) before it gives it more work"


@pytest.mark.parametrize("name", FORWARD)
def test_inputs_left_on_the_cpu_are_refused(name):
    uses_none = ("params", "l2_norm", "norm_product", "bias_term", "flops")
    with fake_device():
        model, (x, y) = network(), inputs()
        if name in uses_none:
            assert value(FORWARD[name], model, x.cpu(), y) == value(FORWARD[name], model, x, y)
        else:
            with pytest.raises((RuntimeError, InvalidInputError), match=r"same device|on one device"):
                value(FORWARD[name], model, x.cpu(), y)


def test_a_metric_of_every_kind_is_here():
    """The cost in words says whether there is a backward pass; a new word for it must not pass unnoticed."""
    assert {"output_sensitivity", "naswot", "near", "zen", "linear_regions", *CHAINS_ONLY} <= set(FORWARD)
    assert not {"grad_norm", "snip", "synflow", "jacobian_norm", "curvature", "ntk_condition"} & set(FORWARD)


def test_measures_where_there_is_no_float64_are_taken_on_the_cpu():
    with fake_device(has_float64=False) as watch:
        model, (x, y) = network(), inputs()
        found = measure(model, x, y, metrics=list(FORWARD), seeds=2, init="he_normal")
        assert {m.name: m.problem for m in found} == dict.fromkeys(FORWARD, "")
        assert {p.device.type for p in model.parameters()} == {DEVICE.type}
    assert not watch.late or set(watch.reads) == {"_to_copy"}


@pytest.mark.parametrize("has_float64", [True, False])
def test_measures_without_a_record(has_float64):
    with fake_device(has_float64=has_float64) as watch:
        model, x = network(), inputs()[0]
        assert sensitivity_sweep(model, x, noise_stds=[0.1, 0.2]).shape == (2,)
        assert sensitivity_by_sample(model, x, n_noise=2).shape == (N,)
        if has_float64:
            assert not watch.reads
    with fake_device(0.0) as watch:
        assert temperature(torch.randn((N, K), device=DEVICE), torch.zeros(N, dtype=torch.long, device=DEVICE)) == 1.0
    assert not watch.late
