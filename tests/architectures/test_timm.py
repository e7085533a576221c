"""Networks of timm as candidates: timm's own counts and weights, determinism, inputs that do not fit, wrong names."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from torch import nn

from nas_sens.architectures import count_flops, count_params, load_spec
from nas_sens.architectures.initialization import initialize_
from nas_sens.architectures.timm import TimmSpec
from nas_sens.core.candidates import describe
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError
from nas_sens.metrics.closed_form.expectation import NoClosedFormError, closed_form
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import SearchSpace

SHAPE = (3, 32, 32)
# Batch norm; layer norm, tokens and position tables; layer norm over channels; depthwise convolutions; group norm;
# gains of standardised convolutions; attention with views of parameters.
MODELS = [
    "test_resnet",
    "test_vit",
    "test_convnext",
    "test_efficientnet",
    "test_efficientnet_gn",
    "test_nfnet",
    "test_vit3",
]
WITH_TABLES = "swin_tiny_patch4_window7_224"  # it computes buffers
SMALL_SWIN = json.dumps({"embed_dim": 12, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4})


def make(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@pytest.mark.parametrize("name", MODELS)
def test_builds_are_timms_own_and_depend_on_the_generator_alone(name, same_global_rng):
    spec = TimmSpec(model=name)
    a, b, c = (spec.build(SHAPE, 10, generator=make(s)) for s in (1, 1, 2))
    assert all(torch.equal(t, tensors(b)[k]) for k, t in tensors(a).items())
    assert any(not torch.equal(t, tensors(c)[k]) for k, t in tensors(a).items())
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**62, (), generator=make(1))))
        try:
            own = timm.create_model(name, num_classes=10, in_chans=3, img_size=32)
        except TypeError:
            torch.manual_seed(int(torch.randint(2**62, (), generator=make(1))))
            own = timm.create_model(name, num_classes=10, in_chans=3)
    assert all(torch.equal(t, tensors(a.net)[k]) for k, t in tensors(own).items())
    assert a.training
    assert count_params(spec.skeleton(SHAPE, 10)) == count_params(own)
    assert all(t.is_meta for t in spec.skeleton(SHAPE, 10).parameters())
    assert count_flops(a, SHAPE) > 0
    assert all(p.requires_grad for p in a.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_other_schemes_draw_linear_and_convolution_layers(name, same_global_rng):
    model = TimmSpec(model=name).build(SHAPE, 10, generator=make(0))
    initialize_(model, "standard_normal", generator=make(3), scale=2.0)
    weights = [m.weight.detach().flatten() for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    assert float(torch.cat(weights).std()) == pytest.approx(2.0, rel=0.03)
    norms = [m for m in model.modules() if isinstance(m, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d))]
    assert all(bool((m.weight == 1).all()) for m in norms)
    assert all(bool(torch.isfinite(t).all()) for t in tensors(model).values())
    first = {k: t.clone() for k, t in tensors(model).items()}
    initialize_(model, "standard_normal", generator=make(3), scale=2.0)
    assert all(torch.equal(t, first[k]) for k, t in tensors(model).items())


def test_other_parameters_start_as_the_model_starts_them():
    spec = TimmSpec(model="test_vit")
    model = spec.skeleton(SHAPE, 10).to_empty(device="cpu")
    with torch.no_grad():
        model.net.pos_embed.fill_(torch.nan)
    initialize_(model, "he_normal", generator=make(0))
    assert 0 < float(model.net.pos_embed.detach().std()) < 0.1  # timm draws it with standard deviation 0.02


def test_torch_default_scales_weights():
    one, two = (TimmSpec(model="test_resnet", init_scale=s).build(SHAPE, 10, generator=make(0)) for s in (1.0, 2.0))
    torch.testing.assert_close(two.net.conv1[0].weight, 2 * one.net.conv1[0].weight)
    assert torch.equal(two.net.bn1.weight, one.net.bn1.weight)


def test_computed_buffers_survive_the_meta_device(same_global_rng):
    spec = TimmSpec(model=WITH_TABLES, kwargs=SMALL_SWIN)
    model = spec.skeleton(SHAPE, 10).to_empty(device="cpu")  # as scoring and the loading of an export do
    own = spec.build(SHAPE, 10, generator=make(0))
    tables = [k for k, _ in own.named_buffers()]
    assert any("relative_position_index" in k for k in tables)
    assert all(torch.equal(tensors(model)[k], tensors(own)[k]) for k in tables)
    model.load_state_dict(own.state_dict())
    x = torch.rand(2, *SHAPE, generator=make(0))
    torch.testing.assert_close(model.eval()(x), own.eval()(x))


def meta_compares_kernels() -> bool:
    """Return whether PyTorch compares kernels with inputs on the meta device, as it does from 2.13 on."""
    try:
        nn.functional.conv2d(torch.zeros(1, 1, 1, 1, device="meta"), torch.zeros(1, 1, 2, 2, device="meta"))
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize(
    ("model", "shape", "reason"),
    [
        ("test_vit", (1, 28, 28), r"test_vit does not take inputs of shape \(1, 28, 28\): .*divisible by patch size"),
        pytest.param(
            "test_convnext",
            (1, 28, 28),
            r"does not take inputs .*Kernel size can't be greater",
            marks=pytest.mark.skipif(not meta_compares_kernels(), reason="this PyTorch tells when it is scored"),
        ),
        ("test_resnet", (64,), r"a timm model needs inputs of shape \(channels, height, width\)"),
    ],
)
def test_inputs_that_do_not_fit_are_infeasible_with_a_reason(model, shape, reason):
    spec = TimmSpec(model=model)
    for attempt in (spec.skeleton, spec.build):
        with pytest.raises(InfeasibleArchitectureError, match=reason):
            attempt(shape, 10)


def test_arguments_are_canonical_and_reach_timm():
    a, b = (
        TimmSpec(model="test_resnet", kwargs=k)
        for k in ('{"drop_rate": 0.5,"act_layer":"gelu"}', '{ "act_layer": "gelu", "drop_rate": 0.5}')
    )
    assert a == b
    assert a.digest == b.digest
    assert load_spec(a.to_json()) == a
    network = a.skeleton(SHAPE, 10).net
    assert network.drop_rate == 0.5
    assert any(type(m).__name__ == "GELU" for m in network.modules())
    assert (
        describe(a.to_json()) == 'timm model=test_resnet init=torch_default kwargs={"act_layer":"gelu","drop_rate":0.5}'
    )
    assert describe(TimmSpec(model="test_resnet").to_json()) == "timm model=test_resnet init=torch_default"
    with pytest.raises(InfeasibleArchitectureError, match=r"kwargs \{\"wdith\":3\} cannot be built: .*'wdith'"):
        TimmSpec(model="test_resnet", kwargs='{"wdith": 3}').skeleton(SHAPE, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "resnet81"}, "model must be the name of a timm model; did you mean 'resnet18'?; given 'resnet81'"),
        ({"model": "?"}, "model must be the name of a timm model; timm.list_models() names them"),
        ({"model": "nas_sens"}, "must be the name of a timm model"),
        ({"model": "local-dir:/tmp"}, "must be the name of a timm model"),
        (
            {"model": "resnet18.a1_in1k"},
            "needs pretrained = true for a model with the tag of pre-trained weights; given 'resnet18.a1_in1k'",
        ),
        ({"model": "resnet18", "kwargs": "[1]"}, "kwargs must be the JSON text of an object"),
        ({"model": "resnet18", "kwargs": "{"}, "kwargs must be the JSON text of an object"),
        ({"model": "resnet18", "kwargs": '{"drop_rate": NaN}'}, "kwargs must be the JSON text of an object"),
        ({"model": "resnet18", "kwargs": '{"pretrained": true}'}, "kwargs must be free of 'pretrained'"),
        ({"model": "resnet18", "kwargs": '{"checkpoint_path": "x"}'}, "kwargs must be free of 'checkpoint_path'"),
    ],
)
def test_wrong_declarations_say_what_is_wrong(values, message):
    with pytest.raises(InvalidInputError) as caught:
        load_spec({"family": "timm", **values})
    assert message in str(caught.value)
    with pytest.raises(InvalidInputError) as caught:
        SearchSpace(name="mine", families={"timm": {**values, "model": [values["model"], "resnet34"]}})
    assert message.removeprefix("model ") in str(caught.value)


def test_scores_are_finite_and_repeatable(generator, same_global_rng):
    x = torch.rand(8, 1, 32, 32, generator=generator)
    for init in ("standard_normal", "own"):
        probe = Probe(x, ScoreSpec(seeds=2, probe_init=init), seed=0)
        spec = TimmSpec(model="test_vit")
        a, b = (score(spec, spec.skeleton((1, 32, 32), 10).to_empty(device="cpu"), probe) for _ in range(2))
        assert a == b
        assert a.status == "ok"
        assert a.estimator == "monte_carlo"


def test_no_closed_form_is_claimed():
    # The variances of "torch_default" are not those of timm's own initialisation.
    with pytest.raises(NoClosedFormError, match="draws parameters by itself that no scheme has a rule for"):
        closed_form(TimmSpec(model="test_resnet"), torch.rand(4, *SHAPE), n_outputs=10)
