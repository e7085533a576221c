"""What every metric must do, also one that is new: types, order of inputs, what it leaves alone, what it refuses.

After the testers of torchmetrics: what a metric computes is checked by its own test, everything else here. Exceptions
are by name, with their reason, and each is checked to be one.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from nas_sens.architectures.base import ArchitectureSpec
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.resnet import ResNetSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics import Metric, metric_names, metrics
from tests.untouched import assert_untouched, snapshot

SHAPE, K, N = (2, 4, 4), 3, 12
# Chains that all metrics are of, with the seeds of inputs for which all values are finite.
NETWORKS: dict[str, tuple[ArchitectureSpec, int]] = {
    "fc": (FCSpec(depth=2, width=12, batch_norm=True, dropout=0.3, init="he_normal"), 7),
    "cnn": (CNNSpec(depth=2, channels=4, padding=1, hidden_units=6, batch_norm=True, dropout=0.3, init="he_normal"), 4),
    "plain": (FCSpec(depth=2, width=8, init="he_normal"), 6),
}
DRAWS = {
    "output_sensitivity": "input noise",
    "softmax_sensitivity": "input noise",
    "relative_sensitivity": "input noise",
    "batch_sensitivity": "input noise",
    "sensitivity_kernel": "input noise",
    "zen": "inputs and their noise",
    "near": "which rows of a matrix make its square block",
}
# Noise of one seed is another one in another type, or on another device.
NOISE = (
    "output_sensitivity",
    "softmax_sensitivity",
    "relative_sensitivity",
    "batch_sensitivity",
    "sensitivity_kernel",
    "zen",
)
NEEDS_ORDER = {
    "output_sensitivity": "the first noise is for the first input",
    "softmax_sensitivity": "the first noise is for the first input",
    "relative_sensitivity": "the first noise is for the first input",
    "batch_sensitivity": "the first noise is for the first input",
    "near": "a block of neighbouring rows",
    "zico": "the first half is one minibatch",
}
OF_WEIGHTS_ALONE = {
    **dict.fromkeys(("params", "l2_norm", "norm_product", "bias_term"), "no inputs are used"),
    **dict.fromkeys(("flops", "synflow", "zen"), "only shape, type and device of inputs are used"),
}
OF_INPUTS_ALONE = {"class_diameter": "no network is used"}
MORE_THAN_ONE = {
    **dict.fromkeys(
        (
            "output_sensitivity",
            "softmax_sensitivity",
            "relative_sensitivity",
            "batch_sensitivity",
            "naswot",
            "jacob_cov",
            "zico",
        ),
        "a statistic over inputs",
    ),
    **dict.fromkeys(("stiffness", "critical_length", "cosine_critical_length"), "pairs of inputs"),
    "class_diameter": "pairs of inputs",
    "normalized_top_spread": "a statistic over inputs",
    **dict.fromkeys(("ntk_condition", "sensitivity_kernel"), "pairs of inputs"),
}
RELATIVE_TOLERANCE = 1e-4  # of a value in float32 against float64
TOLERANCES = {"grasp": 1e-3, "zico": 1e-3}  # a product with the Hessian; a division by a small standard deviation
ORDER_TOLERANCE = 1e-9


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


@dataclass
class Case:
    """A metric with a network and inputs of one type on one device."""

    metric: Metric
    model: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    reference: torch.Tensor

    @property
    def name(self) -> str:
        return self.metric.name

    def value(self, model=None, x=None, y=None, *, seed=0, **options):
        x = self.x if x is None else x
        if self.metric.takes_reference:
            options["reference"] = self.reference
        options.setdefault("generator", seeded(seed, x.device))
        return self.metric.function(model or self.model, x, self.y if y is None else y, **options)


def make(metric, network, *, dtype=torch.float64, device="cpu") -> Case:
    spec, seed = NETWORKS[network]
    # Drawn in one type, so that networks and inputs are the same in the other one, and on the other device.
    model = spec.build(SHAPE, K, generator=seeded(), dtype=torch.float32).to(device, dtype)
    x = torch.randn(N, *SHAPE, generator=seeded(seed)).to(device, dtype)
    reference = torch.randn(SHAPE, generator=seeded(99)).to(x)
    return Case(metric, model, x, torch.arange(N, device=device) % K, reference)


@pytest.fixture(params=metrics().values(), ids=lambda metric: metric.name)
def metric(request):
    return request.param


@pytest.fixture(params=NETWORKS)
def case(request, metric):
    return make(metric, request.param)


@pytest.fixture
def plain(metric):
    return make(metric, "plain")


def refusal(case, *arguments, **options):
    """Return the one line by which a metric refuses something; the network must be left as it was."""
    before = snapshot(case.model)
    with pytest.raises(InvalidInputError) as caught:
        case.value(*arguments, **options)
    assert_untouched(case.model, before)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def test_the_record(metric):
    assert metrics()[metric.name] is metric
    assert metric.direction in ("larger", "smaller")
    assert metric.source
    assert metric.cost
    assert f"[{metric.direction} is expected to be better; " in metric_names()[metric.name]


@pytest.mark.usefixtures("same_global_rng")
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_value_is_repeated_and_nothing_is_left_behind(metric, network, device, dtype):
    case = make(metric, network, dtype=dtype, device=device)
    parameters = list(case.model.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    parameters[2].requires_grad_(False)
    list(case.model.modules())[2].eval()  # modes that are not all the same
    before, given = snapshot(case.model), [t.clone() for t in (case.x, case.y, case.reference)]
    first, second = case.value(seed=1), case.value(seed=1)
    assert type(first) is float
    assert math.isfinite(first)
    # Sums on a GPU may be in another order every time.
    assert first == (second if device == "cpu" else pytest.approx(second, rel=RELATIVE_TOLERANCE))
    assert_untouched(case.model, before)
    for tensor, was in zip((case.x, case.y, case.reference), given, strict=True):
        assert torch.equal(tensor, was), "an input was altered"
        assert tensor.grad is None
        assert not tensor.requires_grad


def test_what_is_drawn_comes_from_the_generator(case):
    values = {case.value(seed=seed) for seed in range(4)}
    assert (len(values) > 1) == (case.name in DRAWS)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        before = torch.get_rng_state()
        value = case.value(generator=None)
        assert case.name in DRAWS or torch.equal(torch.get_rng_state(), before), "drawn for nothing"
        torch.manual_seed(3)
        assert case.value(generator=None) == value


@pytest.mark.parametrize("network", NETWORKS)
def test_single_precision_agrees_with_double(metric, network):
    single, double = (make(metric, network, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert_agree(single, double)


@pytest.mark.gpu
@pytest.mark.parametrize("network", NETWORKS)
def test_the_gpu_agrees_with_the_cpu(metric, network):
    """In double precision: in single, convolutions there have fewer digits (TF32)."""
    assert_agree(make(metric, network, device="cuda"), make(metric, network))


def assert_agree(case, double):
    tolerance = TOLERANCES.get(case.name, RELATIVE_TOLERANCE)
    if case.name not in NOISE:
        # Blocks of rows are drawn on the CPU for both.
        values = (c.value(**({"generator": seeded()} if c.name in DRAWS else {})) for c in (case, double))
        assert next(values) == pytest.approx(next(values), rel=tolerance)
        return
    one, other = (torch.tensor([c.value(seed=s) for s in range(60)], dtype=torch.float64) for c in (case, double))
    error = math.sqrt(float(one.var() + other.var()) / 60)
    assert float(one.mean()) == pytest.approx(float(other.mean()), abs=4 * error)
    assert error < 0.15 * abs(float(other.mean()))


def test_the_order_of_inputs_does_not_matter(case):
    order = torch.randperm(N, generator=seeded(8))
    value, other = case.value(), case.value(x=case.x[order], y=case.y[order])
    assert (other == pytest.approx(value, rel=ORDER_TOLERANCE)) == (case.name not in NEEDS_ORDER)


@pytest.mark.usefixtures("same_global_rng")
def test_a_network_with_branches_has_a_value_or_is_refused(plain):
    """No chain; some metrics are of chains only, and others look at it in other ways then."""
    spec = ResNetSpec(stages=2, blocks=1, width=3, batch_norm=True, dropout=0.2, init="he_normal")
    model = spec.build(SHAPE, K, generator=seeded(), dtype=torch.float64)
    list(model.parameters())[2].requires_grad_(False)
    before = snapshot(model)
    try:
        value = plain.value(model)
    except InvalidInputError as error:
        value, text = None, str(error)
    assert_untouched(model, before)
    if value is None:
        assert text
        assert "\n" not in text
    else:
        assert type(value) is float
        assert not math.isnan(value)
        assert plain.value(model) == value


def test_labels_are_used_where_they_are_asked_for(case):
    others = (case.y + 1 + torch.arange(N) // 5) % K
    assert (case.value(y=others) != case.value()) == case.metric.needs_labels
    if case.metric.needs_labels:
        assert "labels" in refusal_of_none(case)
        assert "12 inputs and 11 labels" in refusal(case, y=case.y[1:])


def refusal_of_none(case):
    with pytest.raises(InvalidInputError) as caught:
        case.metric.function(case.model, case.x, generator=seeded())
    return str(caught.value)


def test_the_modes_of_network_and_caller_do_not_matter(case):
    value = case.value()
    assert case.value(copy.deepcopy(case.model).eval()) == value
    with torch.no_grad():
        assert case.value() == value
    frozen = copy.deepcopy(case.model).requires_grad_(False)
    assert case.value(frozen) == (0.0 if case.name == "params" else value)  # the number of trainable ones


def test_the_layout_of_inputs_does_not_matter(case):
    strided = torch.stack([case.x, torch.zeros_like(case.x)], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    assert case.value(x=strided) == pytest.approx(case.value(), rel=ORDER_TOLERANCE)
    last = case.x.contiguous(memory_format=torch.channels_last)
    assert case.value(x=last) == pytest.approx(case.value(), rel=ORDER_TOLERANCE)


def test_no_inputs_are_refused(case):
    none = case.x[:0]
    if case.name in OF_WEIGHTS_ALONE:
        assert case.value(x=none, y=case.y[:0]) == case.value()
    else:
        assert "given 0" in refusal(case, x=none, y=case.y[:0])


def test_one_input_has_a_value_or_is_refused(plain):
    if plain.name in MORE_THAN_ONE:
        assert "given 1" in refusal(plain, x=plain.x[:1], y=plain.y[:1])
    else:
        assert math.isfinite(plain.value(x=plain.x[:1], y=plain.y[:1]))


def test_inputs_of_integers_are_refused(case):
    whole = case.x.long()
    if case.name in OF_WEIGHTS_ALONE and case.name != "zen":  # which draws inputs of their type
        assert case.value(x=whole) == case.value()
    else:
        assert "floating-point" in refusal(case, x=whole)


class Failing(nn.Module):
    def forward(self, x):
        raise RuntimeError("a layer that fails")


@pytest.mark.usefixtures("same_global_rng")
def test_a_network_that_fails_is_left_as_it_was(case):
    model = nn.Sequential(case.model, Failing())
    before = snapshot(model)
    try:
        value = case.value(model)
    except Exception:
        value = None
    if case.name in OF_INPUTS_ALONE:
        assert value == case.value()
    else:
        assert value is None or case.name in OF_WEIGHTS_ALONE
    assert_untouched(model, before)
