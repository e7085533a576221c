"""Residual networks: counts by hand and against torchvision, order of layers, and which have a closed form."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from nas_sens.architectures import count_params
from nas_sens.architectures.resnet import ResidualBlock, ResNetSpec
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.metrics.closed_form.expectation import NoClosedFormError, closed_form
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec


def params_by_hand(spec: ResNetSpec, channels: int, k: int) -> int:
    """Return the number of parameters from the paper's description, layer by layer."""

    def conv(n_in: int, n_out: int, kernel: int) -> int:
        return n_in * n_out * kernel**2 + n_out * spec.bias

    norm = 2 * spec.batch_norm
    total = conv(channels, spec.width, 3) + (0 if spec.pre_activation else norm * spec.width)
    n = spec.width
    for stage in range(spec.stages):
        m = spec.width * 2**stage
        for i in range(spec.blocks):
            changes = i == 0 and stage > 0
            total += conv(n, m, 3) + norm * m + conv(m, m, 3) + norm * (n if spec.pre_activation else m)
            if spec.shortcut == "projection" or (spec.shortcut == "identity" and changes):
                total += conv(n, m, 1) + (0 if spec.pre_activation else norm * m)
            n = m
    return total + norm * n * spec.pre_activation + n * k + k * spec.bias


@pytest.mark.parametrize("shortcut", ["identity", "projection", "none"])
@pytest.mark.parametrize("pre_activation", [False, True])
@pytest.mark.parametrize(("stages", "blocks", "bias", "batch_norm"), [(1, 2, True, False), (3, 2, False, True)])
def test_counts_equal_those_by_hand(shortcut, pre_activation, stages, blocks, bias, batch_norm, generator):
    spec = ResNetSpec(
        stages=stages,
        blocks=blocks,
        width=3,
        shortcut=shortcut,
        pre_activation=pre_activation,
        bias=bias,
        batch_norm=batch_norm,
    )
    assert count_params(spec.skeleton((2, 9, 12), 7)) == params_by_hand(spec, 2, 7)
    model = spec.build((2, 9, 12), 7, generator=generator)
    assert model(torch.rand(2, 2, 9, 12)).shape == (2, 7)
    n_layers = sum(
        isinstance(m, (nn.Linear, nn.Conv2d)) and getattr(m, "kernel_size", 0) != (1, 1) for m in model.modules()
    )
    assert n_layers == 2 * stages * blocks + 2


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 2)])
def test_stages_have_the_parameters_of_torchvision(name, blocks):
    spec = ResNetSpec(stages=4, blocks=blocks, width=64, batch_norm=True, bias=False)
    mine = [m for m in spec.skeleton((3, 32, 32), 10) if isinstance(m, ResidualBlock)]
    with torch.device("meta"):
        reference = torchvision.models.get_model(name)
    for i in range(4):
        expected = count_params(getattr(reference, f"layer{i + 1}"))
        assert sum(map(count_params, mine[i * blocks : (i + 1) * blocks])) == expected


def test_a_block_computes_what_the_paper_says(generator):
    x = torch.rand(2, 3, 6, 6, generator=generator, dtype=torch.float64)
    for pre in (False, True):
        spec = ResNetSpec(stages=1, blocks=1, width=3, pre_activation=pre)
        block = spec.build((3, 6, 6), 2, generator=generator, dtype=torch.float64)[1 if pre else 2]
        first, second = (m for m in block.body if isinstance(m, nn.Conv2d))
        expected = x + second(first(x.relu()).relu()) if pre else (x + second(first(x).relu())).relu()
        torch.testing.assert_close(block(x), expected)


def test_without_shortcut_it_is_a_plain_network(generator):
    block = ResNetSpec(stages=1, blocks=1, width=3, shortcut="none").build((3, 6, 6), 2, generator=generator)[2]
    x = torch.rand(2, 3, 6, 6, generator=generator)
    torch.testing.assert_close(block(x), block.body(x).relu())


@pytest.mark.parametrize(
    ("stages", "shape", "reason"),
    [
        (1, (64,), r"a resnet needs inputs of shape \(channels, height, width\)"),
        (5, (1, 8, 8), "stage 5: a feature map of side 1 cannot be halved"),
        (3, (1, 8, 2), "stage 3: a feature map of side 1 cannot be halved"),
    ],
)
def test_what_does_not_fit_is_infeasible_with_a_reason(stages, shape, reason):
    with pytest.raises(InfeasibleArchitectureError, match=reason):
        ResNetSpec(stages=stages, blocks=1, width=2).skeleton(shape, 10)


@pytest.mark.parametrize(
    ("options", "has_one"),
    [
        ({"pre_activation": True}, True),
        ({"shortcut": "projection"}, True),
        ({"shortcut": "none"}, True),
        ({}, False),
    ],
)
def test_closed_form_where_it_is_exact(options, has_one, generator):
    spec = ResNetSpec(stages=2, blocks=1, width=32, bias=False, **options)
    x = torch.rand(12, 1, 6, 6, generator=generator)
    if not has_one:
        with pytest.raises(NoClosedFormError, match="not normal in the wide-layer limit"):
            closed_form(spec, x, n_outputs=10)
        return
    expected = closed_form(spec, x, n_outputs=10)
    probe = Probe(x, ScoreSpec(estimator="monte_carlo", seeds=24), seed=0)
    sampled = score(spec, spec.build((1, 6, 6), 10, generator=generator), probe)
    assert sampled.log10_sensitivity == pytest.approx(expected.log10_sensitivity, abs=0.2)
