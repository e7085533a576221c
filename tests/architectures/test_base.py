"""What all families share: specs as values, builds, counts."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nas_sens.architectures import ArchitectureSpec, count_flops, count_params, families, load_spec
from nas_sens.architectures import base as base_module
from nas_sens.architectures.base import LayeredSpec
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError

SHAPE = (1, 8, 8)


# Where 2 for everything required does not do, or not on 8×8 pixels.
EXAMPLES = {
    "alexnet": {"width_factor": 0.02, "hidden_units": 4, "max_pool": False},
    "cell": {f"op_{i}_{j}": "nor_conv_3x3" for i in range(1, 4) for j in range(i)},
    "timm": {"model": "test_resnet"},
    "vgg": {"configuration": 11, "width_factor": 0.02, "hidden_units": 4, "max_pools": 2},
}
# Other values for those parameters that neither are numbers nor are switched by `not`.
CHANGES = {
    "activation": "tanh",
    "init": "he_normal",
    "init_scale": 2.0,
    "dropout": 0.25,
    "taper": 0.5,
    "width_factor": 0.03,
    "shortcut": "none",
    "configuration": 13,
    "model": "test_vit",
    "kwargs": '{"drop_rate":0.1}',
    **{f"op_{i}_{j}": "none" for i in range(1, 4) for j in range(i)},
}


def example(family: type[ArchitectureSpec]) -> ArchitectureSpec:
    """Return a small spec with everything on that it has; so that a new family is tested as it comes."""
    required = {f.name: 2 for f in dataclasses.fields(family) if f.default is dataclasses.MISSING}
    layered = {"batch_norm": True, "dropout": 0.5} if issubclass(family, LayeredSpec) else {}
    return family(**{**required, **layered, **EXAMPLES.get(family.family, {})})


SPECS = [
    *map(example, families().values()),
    CNNSpec(depth=2, channels=3, padding=1, max_pool=True, hidden_units=4, batch_norm=True, dropout=0.5),
]


def weights(model):
    return torch.cat([t.flatten().double() for t in model.state_dict().values()])


def test_families_are_found_by_name():
    assert families()["fc"] is FCSpec
    assert families()["cnn"] is CNNSpec
    assert list(families()) == sorted(families())
    assert all(cls.family == name for name, cls in families().items())


@pytest.mark.parametrize("spec", SPECS)
def test_specs_are_values(spec):
    twin = type(spec)(**dataclasses.asdict(spec))
    assert twin == spec
    assert hash(twin) == hash(spec)
    assert {twin, spec} == {spec}
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.init_scale = 3.0
    other = dataclasses.replace(spec, init_scale=3.0)
    assert other != spec
    assert other.digest != spec.digest


@pytest.mark.parametrize("spec", SPECS)
def test_every_parameter_is_part_of_the_identity(spec):
    for f in dataclasses.fields(spec):
        value = getattr(spec, f.name)
        new = CHANGES.get(
            f.name, not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else None
        )
        assert new is not None, f"say how to change {f.name}"
        assert dataclasses.replace(spec, **{f.name: new}).digest != spec.digest, f.name


@pytest.mark.parametrize("spec", SPECS)
def test_json_is_canonical_and_goes_there_and_back(spec):
    values = json.loads(spec.to_json())
    assert values["family"] == spec.family
    assert list(values) == sorted(values)
    assert load_spec(spec.to_json()) == spec
    assert load_spec(values) == spec
    assert values["family"] == spec.family, "load_spec altered its argument"
    assert load_spec(dict(reversed(values.items()))).to_json() == spec.to_json()


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


@pytest.mark.parametrize("spec", SPECS)
def test_builds_depend_on_the_generator_alone(spec, same_global_rng):
    a, b, c = (spec.build(SHAPE, 10, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(weights(a), weights(b))
    assert not torch.equal(weights(a), weights(c))
    assert all(torch.isfinite(t).all() for t in a.state_dict().values()), "a tensor was left uninitialised"


@pytest.mark.parametrize("spec", SPECS)
def test_builds_have_the_right_shape_type_and_mode(spec, generator):
    model = spec.build(SHAPE, 7, generator=generator, dtype=torch.float64)
    assert model.training
    assert model(torch.rand(3, *SHAPE, dtype=torch.float64)).shape == (3, 7)
    assert all(p.requires_grad and p.dtype == torch.float64 for p in model.parameters())


def test_builds_use_the_scheme_and_scale_of_the_spec(generator):
    model = FCSpec(depth=1, width=200, init="standard_normal", init_scale=3.0).build((100,), 2, generator=generator)
    assert float(model[1].weight.detach().std()) == pytest.approx(3.0, rel=0.03)
    assert float(model[1].bias.detach().std()) == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize("spec", SPECS)
def test_skeletons_need_no_memory(spec):
    assert all(p.is_meta for p in spec.skeleton(SHAPE, 10).parameters())
    huge = dataclasses.replace(FCSpec(depth=3, width=5), width=10_000_000)
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

    with pytest.raises(RuntimeError, match="allocate memory"):
        count_flops(Greedy(2, 2), (2,))


def test_a_spec_without_family_or_layers_is_no_family():
    assert ArchitectureSpec not in families().values()
    with pytest.raises(TypeError, match="abstract"):
        base_module.ArchitectureSpec()
