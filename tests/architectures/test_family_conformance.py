"""What every architecture family must do, also one that is new: a file in the package is tested as it comes."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas_sens.architectures import count_flops, count_params, families, load_spec
from nas_sens.core.errors import InfeasibleArchitectureError
from tests.example_specs import SHAPE, example

K = 7
TOLERANCE = 1e-9  # of outputs in float64, relative to the largest
SINGLE_TOLERANCE = 1e-4  # of outputs in float32
# Other values for those parameters that neither are numbers nor are switched by `not`.
CHANGES = {
    "activation": "tanh",
    "mbconv.activation": "relu",
    "init": "he_normal",
    "init_scale": 2.0,
    "dropout": 0.25,
    "taper": 0.5,
    "width_factor": 0.03,
    "shortcut": "none",
    "configuration": 13,
    "model": "test_vit",
    "bias": False,
    "stem": "7x7",
    "block": "basic",
    "drop_path": 0.0,
    "kernels": 5,
    "expansions": 2.0,
    "strides": 1,
    "stem_stride": 2,
    "se_ratio": 0.5,
    "mlp_ratio": 2.0,
    "pool": "avg",
    "layer_scale": 0.5,
    "kwargs": '{"drop_rate":0.1}',
    "pretrained": "mine.safetensors",
    "freeze": "backbone",
    **{f"op_{i}_{j}": "none" for i in range(1, 4) for j in range(i)},
}
# Of the examples. Stored candidates are known by their digests: to change one, be it by a new field, is to forget all
# databases there are.
DIGESTS = {
    "alexnet": "b75c643e12b6c271",
    "cell": "7387aacaf57b249b",
    "cnn": "a91cb84d451c54d2",
    "fc": "6212f48e97f30413",
    "resnet": "ac9c1b4369cf0795",
    "timm": "458d91ba7e4c5717",
    "vgg": "8be36bece05101ec",
}


@pytest.fixture(params=families().values(), ids=lambda family: family.family)
def spec(request):
    return example(request.param)


def build(spec, seed=0, dtype=torch.float64):
    return spec.build(SHAPE, K, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inputs(n=4, dtype=torch.float64):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)


def outputs(model, x):
    with torch.no_grad():
        return model.eval()(x)


def assert_close(one, other, tolerance):
    torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=tolerance * float(other.abs().max()))


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value[:-1], value[-1] + 1)
    return value + 1 if isinstance(value, int) else None


# --- identity


def test_the_example_has_everything_on(spec):
    assert type(spec).family == spec.family
    assert spec.to_dict()["family"] == spec.family
    plain = {k for k, v in spec.later.items() if getattr(spec, k) == v}
    assert set(spec.to_dict()) == {"family", *(f.name for f in dataclasses.fields(spec))} - plain
    assert not plain or spec.family == "timm"  # whose weights are a file, see `test_pretrained`


def test_a_spec_is_a_value(spec):
    twin = type(spec)(**dataclasses.asdict(spec))
    assert twin == spec
    assert hash(twin) == hash(spec)
    assert {twin, spec} == {spec}
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.init_scale = 3.0


def test_json_is_canonical_and_goes_there_and_back(spec):
    values = json.loads(spec.to_json())
    assert values == spec.to_dict()
    assert list(values) == sorted(values)
    assert load_spec(spec.to_json()) == spec
    assert load_spec(values) == spec
    assert values["family"] == spec.family, "load_spec altered its argument"
    assert load_spec(dict(reversed(values.items()))).to_json() == spec.to_json()


def test_the_digest_is_a_function_of_the_json(spec):
    assert load_spec(spec.to_json()).digest == spec.digest
    early = dataclasses.replace(spec, **spec.later)  # as they were stored before these parameters came
    assert DIGESTS.get(spec.family, early.digest) == early.digest
    assert set(early.to_dict()) == set(spec.to_dict()) - set(spec.later)


def test_every_parameter_is_part_of_the_identity(spec):
    for f in dataclasses.fields(spec):
        value = getattr(spec, f.name)
        new = CHANGES.get(f"{spec.family}.{f.name}", CHANGES.get(f.name, changed(value)))
        assert new is not None, f"say how to change {f.name}"
        assert new != value, f"say how to change {f.name} to something else"
        other = dataclasses.replace(spec, **{f.name: new})
        assert other != spec
        assert other.digest != spec.digest, f.name


def test_the_canonical_one_is_its_own(spec):
    canonical = spec.canonical
    assert type(canonical) is type(spec)
    assert canonical.canonical == canonical
    assert load_spec(canonical.to_json()) == canonical
    assert outputs(build(canonical), inputs()).shape == (4, K)


def test_structure_and_names(spec):
    found = type(spec).structure(spec.to_dict())
    assert all(isinstance(k, str) and isinstance(v, float) and math.isfinite(v) for k, v in found.items())
    assert type(spec).structure(json.loads(spec.to_json())) == found
    assert all(isinstance(name, str) for name in spec.known_as)
    assert len(set(spec.known_as)) == len(spec.known_as)


# --- networks


@pytest.mark.usefixtures("same_global_rng")
def test_a_build_depends_on_the_generator_alone(spec):
    a, c = build(spec, 1), build(spec, 2)
    with torch.random.fork_rng():
        torch.manual_seed(77)  # whatever was drawn before
        b = build(spec, 1)
    tensors = [list(m.state_dict().values()) for m in (a, b, c)]
    assert all(torch.equal(s, t) for s, t in zip(*tensors[:2], strict=True))
    assert any(not torch.equal(s, t) for s, t in zip(tensors[0], tensors[2], strict=True))
    assert all(torch.isfinite(t).all() for t in tensors[0]), "a tensor was left uninitialised"


def test_a_build_is_ready_for_training(spec):
    model = build(spec)
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert model(inputs(3)).shape == (3, K)
    model(inputs(3)).square().mean().backward()
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


def test_outputs_are_finite_logits_in_both_types(spec):
    double, single = build(spec), build(spec, dtype=torch.float32)
    for model, dtype in ((double, torch.float64), (single, torch.float32)):
        assert all(p.dtype == dtype for p in model.parameters())
        y = outputs(model, inputs(dtype=dtype))
        assert (y.shape, y.dtype) == ((4, K), dtype)
        assert torch.isfinite(y).all()
    converted = outputs(build(spec, dtype=torch.float32).double(), inputs(dtype=torch.float32).double())
    assert converted.dtype == torch.float64
    assert_close(outputs(single, inputs(dtype=torch.float32)), converted, SINGLE_TOLERANCE)


def test_in_evaluation_an_output_does_not_depend_on_the_others(spec):
    model, x = build(spec), inputs()
    whole = outputs(model, x)
    assert_close(torch.cat([outputs(model, one[None]) for one in x]), whole, TOLERANCE)
    assert_close(outputs(model, x.flip(0)).flip(0), whole, TOLERANCE)
    assert torch.equal(outputs(model, x), whole), "evaluation is random"


def test_weights_alone_make_the_function(spec):
    """A network is exported as its spec and its state: nothing else may matter."""
    model, other = build(spec, 1), build(spec, 2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(outputs(other, inputs()), outputs(model, inputs()))


def test_sizes_are_those_of_the_built_network(spec):
    skeleton, model = spec.skeleton(SHAPE, K), build(spec, dtype=torch.float32)
    assert all(p.is_meta for p in skeleton.parameters())
    n = sum(p.numel() for p in model.parameters())
    assert count_params(skeleton) == count_params(model) == n
    flops = count_flops(model, SHAPE)
    model.requires_grad_(False)
    # Of attention in one fused operation the counter does not see the products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.eval()(inputs(1, torch.float32))
    assert flops == counter.get_total_flops() > 0
    assert spec.size(SHAPE, K) in (None, (n, flops))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (5,)], ids=str)
def test_layers_that_do_not_fit_are_refused_in_one_line(spec, shape):
    try:
        skeleton = spec.skeleton(shape, K)
    except InfeasibleArchitectureError as error:
        assert str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert isinstance(skeleton, nn.Module)
    model = spec.build(shape, K, generator=torch.Generator().manual_seed(0))
    assert outputs(model, torch.rand(2, *shape)).shape == (2, K)
