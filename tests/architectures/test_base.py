"""What all families share: specs as values, builds, counts."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nas_sens.architectures import ArchitectureSpec, count_flops, count_params, families, load_spec
from nas_sens.architectures import base as base_module
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError, OutOfMemoryError

SHAPE = (1, 8, 8)


def test_families_are_found_by_name():
    assert families()["fc"] is FCSpec
    assert families()["cnn"] is CNNSpec
    assert list(families()) == sorted(families())
    assert all(cls.family == name for name, cls in families().items())


def test_integers_for_real_parameters_are_the_same_spec():
    assert FCSpec(depth=1, width=2, init_scale=1, dropout=0).to_json() == FCSpec(depth=1, width=2).to_json()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "must be JSON text or a dict"),
        ("3", "must be JSON text or a dict"),
        ("[1]", "must be JSON text or a dict"),
        ('{"depth": 1}', "unknown architecture family None; valid: alexnet, cell, cnn"),
        ('{"family": "fcc"}', "unknown architecture family 'fcc'; did you mean 'fc'?"),
        ('{"family": "fc", "depth": 1}', "architecture 'fc': the key 'width' is required but missing"),
        ('{"family": "fc", "depth": 1, "widht": 3}', "unknown key 'widht'; did you mean 'width'?"),
        ('{"family": "fc", "depth": -1, "width": 3}', "depth must be greater than or equal to 0; given -1"),
        ('{"family": "fc", "depth": 1.0, "width": 3}', "depth must be a valid integer"),
    ],
)
def test_load_spec_says_what_is_wrong(source, message):
    with pytest.raises(InvalidInputError) as caught:
        load_spec(source)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"depth": -1},
        {"depth": True},
        {"width": "3"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"init_scale": float("inf")},
        {"init_scale": -1.0},
        {"init": "he"},
        {"activation": "swish"},
        {"bias": 1},
        {"wdith": 3},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        FCSpec(**{"depth": 1, "width": 2, **wrong})


def test_builds_use_the_scheme_and_scale_of_the_spec(generator):
    model = FCSpec(depth=1, width=200, init="standard_normal", init_scale=3.0).build((100,), 2, generator=generator)
    assert float(model[1].weight.detach().std()) == pytest.approx(3.0, rel=0.03)
    assert float(model[1].bias.detach().std()) == pytest.approx(1.0, rel=0.2)


def test_skeletons_need_no_memory():
    huge = FCSpec(depth=3, width=10_000_000)
    assert count_params(huge.skeleton(SHAPE, 10)) > 10**14


def test_frozen_parameters_do_not_count():
    model = nn.Linear(3, 2)
    assert count_params(model) == 8
    model.bias.requires_grad_(False)
    assert count_params(model) == 6


def test_count_flops_leaves_the_mode_and_batch_statistics_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 4))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    # conv: 2 channels × 6×6 places × 9 weights; linear: 72 × 4; a multiplication and an addition each.
    assert count_flops(model, SHAPE) == 2 * (2 * 36 * 9 + 72 * 4)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.eval()
    count_flops(model, SHAPE)
    assert not model.training


def test_a_network_that_does_not_take_the_input_is_infeasible():
    with pytest.raises(InfeasibleArchitectureError, match=r"do not fit inputs of shape \(1, 8, 8\)"):
        count_flops(nn.Linear(3, 2), SHAPE)


def test_no_memory_is_not_told_as_not_fitting_the_input():
    class Greedy(nn.Linear):
        def forward(self, x):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(OutOfMemoryError, match="does not fit in memory"):
        count_flops(Greedy(2, 2), (2,))


def test_a_spec_without_family_or_layers_is_no_family():
    assert ArchitectureSpec not in families().values()
    with pytest.raises(TypeError, match="abstract"):
        base_module.ArchitectureSpec()
