"""Convolutional networks: layers, counts by hand, and what does not fit the input."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from nas_sens.architectures import count_flops, count_params
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.core.errors import InfeasibleArchitectureError


def counts_by_hand(spec: CNNSpec, channels: int, height: int, width: int, k: int) -> tuple[int, int]:
    """Return parameters and FLOPs by walking over the layers with the school formulas."""
    params = flops = 0
    for _ in range(spec.depth):
        height, width = ((s + 2 * spec.padding - spec.kernel) // spec.stride + 1 for s in (height, width))
        weights = spec.channels * channels * spec.kernel**2
        params += weights + spec.channels * (spec.bias + 2 * spec.batch_norm)
        flops += 2 * weights * height * width
        if spec.max_pool:
            height, width = height // 2, width // 2
        channels = spec.channels
    sizes = [channels * height * width, *([spec.hidden_units] if spec.hidden_units else []), k]
    for a, b in itertools.pairwise(sizes):
        params += a * b + b * spec.bias
        flops += 2 * a * b
    return params + 2 * spec.batch_norm * spec.hidden_units, flops


@pytest.mark.parametrize(
    "spec",
    [
        CNNSpec(depth=1, channels=2),
        CNNSpec(depth=3, channels=4, kernel=3, padding=1),
        CNNSpec(depth=2, channels=3, kernel=5, padding=2, stride=2, hidden_units=6),
        CNNSpec(depth=2, channels=3, max_pool=True, batch_norm=True, hidden_units=5),
        CNNSpec(depth=2, channels=3, kernel=2, stride=2, bias=False, batch_norm=True, dropout=0.1),
        CNNSpec(depth=1, channels=1, kernel=10, padding=0),
    ],
)
def test_counts_equal_those_by_hand(spec, generator):
    shape, k = (3, 10, 12), 7
    expected = counts_by_hand(spec, *shape, k)
    assert count_params(spec.skeleton(shape, k)) == expected[0]
    model = spec.build(shape, k, generator=generator)
    assert (count_params(model), count_flops(model, shape)) == expected
    assert model.eval()(torch.rand(2, *shape)).shape == (2, k)


def test_order_of_layers():
    spec = CNNSpec(depth=1, channels=2, max_pool=True, batch_norm=True, dropout=0.5, hidden_units=3, activation="gelu")
    conv = [nn.Conv2d, nn.BatchNorm2d, nn.GELU, nn.MaxPool2d, nn.Dropout]
    hidden = [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout, nn.Linear]
    assert [type(m) for m in spec.skeleton((1, 8, 8), 10)] == [*conv, *hidden]
    plain = CNNSpec(depth=1, channels=2, kernel=5, stride=2, padding=1).skeleton((1, 8, 8), 10)
    assert [type(m) for m in plain] == [nn.Conv2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert (plain[0].kernel_size, plain[0].stride, plain[0].padding) == ((5, 5), (2, 2), (1, 1))


@pytest.mark.parametrize(
    ("spec", "shape", "reason"),
    [
        (CNNSpec(depth=1, channels=2), (64,), r"a cnn needs inputs of shape \(channels, height, width\).*\(64,\)"),
        (CNNSpec(depth=1, channels=2, kernel=9), (1, 8, 8), "conv layer 1: a kernel of 9 .* feature map of 8"),
        (CNNSpec(depth=1, channels=2, kernel=5), (1, 8, 4), "conv layer 1: a kernel of 5 .* feature map of 4"),
        (CNNSpec(depth=4, channels=2), (1, 8, 8), "conv layer 4: a kernel of 3 .* feature map of 2"),
        (CNNSpec(depth=2, channels=2, max_pool=True), (1, 6, 6), "conv layer 2: a kernel of 3 .* of 2"),
        (CNNSpec(depth=1, channels=2, kernel=8, max_pool=True), (1, 8, 8), "max-pool 1: a feature map of side 1"),
    ],
)
def test_what_does_not_fit_is_infeasible_with_a_reason(spec, shape, reason, generator):
    for attempt in (spec.skeleton, lambda *args: spec.build(*args, generator=generator)):
        with pytest.raises(InfeasibleArchitectureError, match=reason):
            attempt(shape, 10)


def test_feasible_exactly_where_pytorch_can_run_it(generator):
    n_feasible = n_infeasible = 0
    grid = itertools.product((1, 2, 3), (1, 2, 3, 5), (0, 1), (1, 2), (False, True), ((1, 7, 7), (1, 4, 9)))
    for depth, kernel, padding, stride, max_pool, shape in grid:
        spec = CNNSpec(depth=depth, channels=1, kernel=kernel, padding=padding, stride=stride, max_pool=max_pool)
        x = torch.zeros(1, *shape)
        try:
            for _ in range(depth):
                x = nn.functional.conv2d(x, torch.zeros(1, 1, kernel, kernel), stride=stride, padding=padding)
                x = nn.functional.max_pool2d(x, 2) if max_pool else x
        except RuntimeError:
            n_infeasible += 1
            with pytest.raises(InfeasibleArchitectureError):
                spec.skeleton(shape, 10)
        else:
            n_feasible += 1
            assert spec.build(shape, 10, generator=generator)(torch.zeros(1, *shape)).shape == (1, 10)
    assert min(n_feasible, n_infeasible) > 20
