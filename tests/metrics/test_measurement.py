"""Measures of any network: the values of the measures themselves, one clear line where one cannot be taken."""

from __future__ import annotations

import importlib
import json
import math
import statistics

import pytest
import torch
from torch import nn

from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.metrics import Metric, metric_names, metrics
from nas_sens.metrics.grad_norm import grad_norm
from nas_sens.metrics.measurement import measure
from nas_sens.metrics.naswot import naswot
from nas_sens.metrics.output_sensitivity import output_sensitivity
from nas_sens.models.model_folder import model_config, write_model
from nas_sens.models.resolve import resolve_model

SHAPE = (1, 4, 4)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x():
    return torch.rand(5, *SHAPE, generator=seeded(3))


@pytest.fixture
def y():
    return torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture
def model():
    return FCSpec(depth=2, width=16, batch_norm=True).build(SHAPE, 3, generator=seeded(1))


def by_name(found):
    return {m.name: m for m in found}


@pytest.mark.usefixtures("same_global_rng")
def test_values_of_a_network_as_it_is(model, x, y):
    before = {n: t.clone() for n, t in model.state_dict().items()}
    found = measure(model, x, y, metrics=["naswot", "grad_norm"], generator=seeded())
    assert [m.name for m in found] == ["naswot", "grad_norm"]
    assert [m.value for m in found] == [naswot(model, x), grad_norm(model, x, y)]
    assert all(m.stderr is None and m.problem == "" and m.seconds > 0 for m in found)
    assert {m.direction for m in found} == {"larger"}
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(m.training for m in model.modules())


@pytest.mark.usefixtures("same_global_rng")
def test_seeds_draw_networks_anew_and_leave_the_given_one(model, x):
    before = {n: t.clone() for n, t in model.state_dict().items()}
    found = measure(model, x, metrics=["output_sensitivity"], seeds=3, init="he_normal", generator=seeded(7))[0]
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    base = int(torch.randint(2**62, (), generator=seeded(7)))
    values = []
    for i in range(3):
        initialize_(model, "he_normal", generator=make_generator("measure weights", base, i))
        noise = make_generator("measure", "output_sensitivity", base, i)
        values.append(output_sensitivity(model, x, generator=noise))
    assert len(set(values)) == 3
    assert found.value == pytest.approx(statistics.mean(values), rel=1e-12)
    assert found.stderr == pytest.approx(statistics.stdev(values) / math.sqrt(3), rel=1e-9)


def test_a_value_does_not_depend_on_which_others_are_taken(model, x, y):
    alone = measure(model, x, y, metrics="output_sensitivity", generator=seeded())[0]
    among = by_name(measure(model, x, y, generator=seeded()))
    assert set(among) == set(metrics())
    assert among["output_sensitivity"].value == alone.value
    again = by_name(measure(model, x, y, generator=seeded()))
    assert {n: m.value for n, m in among.items()} == {n: m.value for n, m in again.items()}
    for name in ("critical_length", "cosine_critical_length"):
        del among[name]  # inf where stiffness does not fall with distance
    assert all(m.value is not None and math.isfinite(m.value) for m in among.values()), among


def test_what_is_missing_is_said_in_one_line_and_the_others_run(x):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    found = by_name(measure(linear, x, generator=seeded()))
    for name, metric in metrics().items():
        if metric.needs_labels:
            assert "labels" in found[name].problem, name
            assert found[name].value is None
        else:
            assert "labels" not in found[name].problem, name
    assert "ReLU" in found["naswot"].problem
    assert found["synflow"].value is not None
    assert found["synflow"].problem == ""
    assert all("\n" not in m.problem for m in found.values())


def test_one_input_and_a_dead_network(x, y):
    normed = FCSpec(depth=1, width=4, batch_norm=True).build(SHAPE, 3, generator=seeded())
    found = by_name(measure(normed, x[:1], y[:1], generator=seeded()))
    assert "2 inputs" in found["naswot"].problem
    assert "more than 1 value per channel" in found["snip"].problem
    assert found["synflow"].value is not None
    nn.init.zeros_(normed[-1].weight)
    dead = measure(normed, x, metrics=["synflow"])[0]
    assert dead.value == -math.inf
    assert dead.problem == "the value of 1 of 1 networks is -inf"


def test_out_of_memory_is_a_problem_and_a_mistake_in_a_measure_is_not_hidden(model, x, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("no room")

    def wrong(*args, **kwargs):
        raise TypeError("a mistake")

    table = {f.__name__: Metric(function=f, direction="larger", source="", cost="") for f in (full, wrong)}
    monkeypatch.setattr(importlib.import_module("nas_sens.metrics.measurement"), "all_metrics", lambda: table)
    assert measure(model, x, metrics=["full"])[0].problem == "out of memory; give fewer inputs"
    with pytest.raises(TypeError, match="a mistake"):
        measure(model, x, metrics=["wrong"])


def test_wrong_arguments(model, x):
    with pytest.raises(InvalidInputError, match="unknown metric 'naswott'; did you mean 'naswot'"):
        measure(model, x, metrics=["naswott"])
    with pytest.raises(InvalidInputError, match="at least one metric"):
        measure(model, x, metrics=[])
    with pytest.raises(InvalidInputError, match="seeds = 2, init = None"):
        measure(model, x, seeds=2)
    with pytest.raises(InvalidInputError, match="no initialisation rule for Bilinear"):
        measure(nn.Bilinear(2, 2, 2), x, init="he_normal")


def test_the_list_of_metrics_says_what_each_costs_and_needs():
    assert metric_names()["fisher"].endswith(
        "[larger is expected to be better; costs forward + backward; needs labels, linear or convolution layers; "
        "Turner et al. 2020, arXiv:1906.04113; as a score Abdelfattah et al. 2021, arXiv:2101.08134]"
    )


# --- resolve_model


def resolved(text, generator=None, n_outputs=3):
    return resolve_model(text, input_shape=SHAPE, n_outputs=n_outputs, generator=generator or seeded())


def test_a_family_with_parameters():
    spec = FCSpec(depth=2, width=7, taper=0.5, bias=False, init="he_normal")
    expected = spec.build(SHAPE, 3, generator=seeded())
    model = resolved("fc:depth=2, width=7,taper=0.5,bias=false,init=he_normal")
    for a, b in zip(expected.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert resolved(spec.to_json())[1].out_features == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc:depth=2", "'width' is required"),
        ("fc:depth=2,width=many", "width must be"),
        ("fc:depth=2,widht=3", "unknown key 'widht'; did you mean 'width'"),
        ("fc:depth=2,depth=3", "'depth' is there twice"),
        ("fc:depth", "name=value"),
        ("fcc:depth=2", "exported model"),
        ("cnn:depth=9,channels=2,max_pool=true", "cannot be built"),
        ("no.such:thing", "there is no module 'no' in"),
        ("torch.nn:Nothing", "has no 'Nothing'"),
        ("math:pi", "it gave float"),
        ("torch.nn:Identity", "must give 3 outputs"),
        ("/no/such/folder", "is no exported model"),
        ("timm:resnet81", "resnet"),
    ],
)
def test_what_names_no_network(text, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        resolved(text)
    assert "\n" not in str(caught.value)


def test_an_exported_folder(tmp_path):
    spec = FCSpec(depth=1, width=4)
    model = spec.build(SHAPE, 3, generator=seeded(4))
    write_model(tmp_path, model_config(spec, input_shape=SHAPE, n_outputs=3, provenance={}), model.state_dict())
    found = resolved(str(tmp_path))
    assert torch.equal(found[1].weight, model[1].weight)
    with pytest.raises(InvalidInputError, match="takes no inputs of shape"):
        resolve_model(str(tmp_path), input_shape=(1, 5, 5), n_outputs=3)
    with pytest.raises(InvalidInputError, match="must give 4 outputs"):
        resolved(str(tmp_path), n_outputs=4)
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(InvalidInputError, match=r"config.json: the key 'model_args.architecture' is required"):
        resolved(str(tmp_path))


@pytest.mark.usefixtures("same_global_rng")
def test_code_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "def sized(n_outputs, input_shape, width=5):\n"
        "    n = input_shape[0] * input_shape[1] * input_shape[2]\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(n, width), nn.ReLU(), nn.Linear(width, n_outputs))\n"
        "def fixed():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, second, other = (resolved("own_networks:sized", seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first[1].weight, second[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)
    assert resolved("own_networks:fixed")[1].out_features == 3


def test_a_model_of_timm():
    model = resolve_model("timm:resnet10t", input_shape=(1, 32, 32), n_outputs=3, generator=seeded())
    found = measure(model, torch.rand(4, 1, 32, 32, generator=seeded()), metrics=["naswot"])[0]
    assert found.problem == ""
