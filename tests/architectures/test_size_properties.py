"""Random architectures of every family: sizes as PyTorch counts them, and one identity each."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas_sens.architectures import ArchitectureSpec, count_flops, count_params, families, load_spec
from nas_sens.architectures.flops import chain_flops
from nas_sens.core.errors import InfeasibleArchitectureError
from tests.example_specs import of_one_length, random_specs

# timm's networks have no numbers that are varied here, and take a second each: they are in `test_family_conformance`.
FAMILIES = [family for name, family in families().items() if name != "timm"]
CHAINS = ("alexnet", "cnn", "fc", "vgg")
SHAPES = st.sampled_from([(1, 8, 8), (3, 12, 8), (2, 16, 16), (1, 35, 33), (2, 7, 5), (1, 2, 2), (3, 1, 1), (6,)])


def counted(model, shape):
    """Return what PyTorch's counter says of one real pass, and the number of entries of all parameters."""
    model.eval().requires_grad_(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        y = model(torch.zeros(1, *shape))
    assert y.shape == (1, 3)
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops()


def told(spec: ArchitectureSpec, shape):
    """Return what ``size`` says, and whether it says that the layers do not fit."""
    try:
        return spec.size(shape, 3), False
    except InfeasibleArchitectureError:
        return None, True


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.family)
@settings(max_examples=15, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_sizes_are_those_that_pytorch_counts(family, data):
    spec, shape = data.draw(random_specs(family)), data.draw(SHAPES)
    size, is_infeasible = told(spec, shape)
    try:
        skeleton = spec.skeleton(shape, 3)
    except InfeasibleArchitectureError:
        assert is_infeasible or spec.size(shape, 3) is None, "size() is told of a network that cannot be built"
        reject()
    assert not is_infeasible, "size() refuses what can be built"
    model = spec.build(shape, 3, generator=torch.Generator().manual_seed(0))
    ours, from_shapes = (count_params(skeleton), count_flops(model, shape)), chain_flops(skeleton, shape)
    expected = counted(model, shape)
    assert ours == expected
    assert from_shapes in (None, expected[1])
    assert family.family not in CHAINS or from_shapes is not None, "a chain was counted by running it"
    assert size in (None, expected)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.family)
@given(data=st.data())
def test_equal_specs_have_one_text_and_other_specs_another(family, data):
    one, other = data.draw(random_specs(family)), data.draw(random_specs(family))
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(family)]))
    assert load_spec(one.to_json()) == one
    assert load_spec(one.to_json()).digest == one.digest
    near = family(**of_one_length({**dataclasses.asdict(one), name: getattr(other, name)}))
    for each in (other, near):
        assert (one == each) is (one.to_json() == each.to_json())
        assert (one == each) is (one.digest == each.digest)
    assert one.canonical.canonical == one.canonical


def test_minus_zero_is_zero():
    one, other = (load_spec({"family": "fc", "depth": 1, "width": 2, "init_scale": v}) for v in (0.0, -0.0))
    assert one == other
    assert one.to_json() == other.to_json()
    assert one.digest == other.digest
