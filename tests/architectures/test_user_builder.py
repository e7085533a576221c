"""A function of the user as a family: declared, checked, built, scored, trained, stored, exported as any other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.architectures import FAMILIES, count_params, family_of, load_spec
from nas_sens.core.errors import InfeasibleArchitectureError

MODULE = '''
import torch
from torch import nn

def conv1d(input_shape, n_outputs, *, depth: int, width: int, kernel: int = 5) -> nn.Module:
    """A chain of 1-D convolutions."""
    layers, n = [], input_shape[0]
    for _ in range(depth):
        layers += [nn.Conv1d(n, width, kernel, padding=kernel // 2), nn.ReLU()]
        n = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(n, n_outputs))

class Recurrent(nn.Module):
    def __init__(self, n, hidden, n_outputs):
        super().__init__()
        self.lstm, self.head = nn.LSTM(n, hidden, batch_first=True), nn.Linear(hidden, n_outputs)

    def forward(self, x):
        return self.head(self.lstm(x.transpose(1, 2))[0][:, -1])

def lstm(input_shape, n_outputs, *, hidden: int = 8):
    return Recurrent(input_shape[0], hidden, n_outputs)

def broken(input_shape, n_outputs, *, depth: int):
    raise KeyError("no such layer")
'''
STUDY = """
name = "own"
[search_space."my_nas:conv1d"]
depth = { type = "int", low = 1, high = 3 }
width = { type = "int", low = 2, high = 6 }
[search_space."my_nas:lstm"]
hidden = [2, 3, 4]
[data]
name = "npz:a.npz"
layout = "ncl"
[search]
n_candidates = 6
[score]
n_inputs = 8
seeds = 2
[select]
top_k = 1
control = 1
[train]
epochs = 1
seeds = 1
"""
SHAPE = (2, 12)


@ns.family
def mlp(input_shape, n_outputs, *, width: int, act: Literal["relu", "tanh"] = "relu", bias: bool = True):
    """Two linear layers."""
    n = int(np.prod(input_shape))
    middle = nn.ReLU() if act == "relu" else nn.Tanh()
    return nn.Sequential(nn.Flatten(), nn.Linear(n, width, bias=bias), middle, nn.Linear(width, n_outputs, bias=bias))


MLP = FAMILIES.get(f"{__name__}:mlp")


def test_it_is_the_bundled_family_that_builds_the_same_layers():
    """Parameters, FLOPs, closed form and the weights that a scheme draws are those of ``fc``."""
    mine, fc = MLP(width=7), ns.FCSpec(depth=1, width=7)
    x = torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(0))
    kwargs = {"noise_std": 0.1, "init": "he_normal", "n_outputs": 3}
    assert ns.closed_form_sensitivity(mine, x, **kwargs) == pytest.approx(ns.closed_form_sensitivity(fc, x, **kwargs))
    built = [
        s.build(SHAPE, 3, generator=torch.Generator().manual_seed(1))
        for s in (MLP(width=7, init="he_normal"), ns.FCSpec(depth=1, width=7, init="he_normal"))
    ]
    for p, q in zip(*(m.parameters() for m in built), strict=True):
        assert torch.equal(p, q)
    assert count_params(built[0]) == count_params(built[1])


def test_its_own_initialisation_is_what_the_function_draws():
    model = MLP(width=7).build(SHAPE, 3, generator=torch.Generator().manual_seed(5))
    again = MLP(width=7).build(SHAPE, 3, generator=torch.Generator().manual_seed(5))
    other = MLP(width=7).build(SHAPE, 3, generator=torch.Generator().manual_seed(6))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    bound = 1 / np.sqrt(np.prod(SHAPE))
    assert float(model.net[1].weight.detach().abs().max()) <= bound
    assert float(model.net[1].weight.detach().std()) == pytest.approx(bound / np.sqrt(3), rel=0.2)


def xavier(input_shape, n_outputs, *, width: int):
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, width), nn.ReLU(), nn.Linear(width, n_outputs))
    for layer in (model[1], model[3]):
        nn.init.xavier_uniform_(layer.weight)
    return model


def test_what_the_function_draws_has_no_closed_form_and_a_scheme_has():
    spec = family_of(xavier)(width=5)
    x = torch.rand(8, *SHAPE)
    with pytest.raises(ns.NoClosedFormError, match="it draws its weights by itself"):
        ns.closed_form_sensitivity(spec, x, noise_std=0.1, init="torch_default", n_outputs=3)
    assert ns.closed_form_sensitivity(spec, x, noise_std=0.1, init="he_normal", n_outputs=3) > 0
    weight = spec.build(SHAPE, 3, generator=torch.Generator().manual_seed(0)).net[1].weight.detach()
    assert float(weight.abs().max()) > 1 / np.sqrt(24), "xavier's bound is larger than that of PyTorch's default"


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    MLP(width=7).build(SHAPE, 3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(before, torch.get_rng_state())


def test_it_is_known_by_its_qualified_name_and_keywords():
    spec = MLP(width=7, act="tanh")
    assert json.loads(spec.to_json())["family"] == f"{__name__}:mlp"
    assert load_spec(spec.to_json()) == spec
    assert spec.digest != MLP(width=7).digest
    assert MLP.__doc__ == "Two linear layers."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0.5}, "mlp.width must be a valid integer; given 0.5"),
        ({"width": 4, "act": ["relu", "gelu"]}, "act must be 'relu' or 'tanh'; given 'gelu'"),
        ({"width": 4, "biases": True}, "unknown key .*mlp.biases'; did you mean 'bias'"),
        ({"act": "relu"}, "width.* is required"),
    ],
)
def test_keywords_are_checked_as_those_of_bundled_families(parameters, message):
    with pytest.raises(ns.InvalidInputError, match=message):
        ns.SearchSpace(name="s", families={mlp: parameters})


def test_a_space_is_declared_by_the_function_itself():
    space = ns.SearchSpace(
        name="s", families={mlp: {"width": ns.Int(2, 64, log=True), "act": ns.Choice(["relu", "tanh"])}}
    )
    spec = space.sample(seed=0)
    assert isinstance(spec, MLP)
    assert 2 <= spec.width <= 64


def no_keywords(input_shape):
    return nn.Identity()


def takes_init(input_shape, n_outputs, *, init: str = "x"):
    return nn.Identity()


def odd_type(input_shape, n_outputs, *, layer: torch.Tensor):
    return nn.Identity()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_keywords, r"must take \(input_shape, n_outputs, \*, …\)"),
        (takes_init, "must name the keyword 'init' otherwise"),
        (odd_type, "the keyword 'layer' of .* must have a type that TOML knows"),
        (len, r"must take \(input_shape"),
    ],
)
def test_functions_that_can_be_no_family_are_refused(function, message):
    with pytest.raises(ns.InvalidInputError, match=message):
        family_of(function)


def test_a_function_may_say_more_of_its_networks():
    def layers(input_shape, n_outputs, *, k: int = 1):
        return nn.Sequential(nn.Flatten(), nn.Linear(24, n_outputs))

    family = family_of(
        layers,
        structure=lambda values: {"depth": 2.0 * values["k"]},
        size=lambda spec, input_shape, n_outputs: (spec.k, n_outputs),
        canonical=lambda spec: family_of(layers)(k=1),
    )
    assert family.structure({"k": 3}) == {"depth": 6.0}
    assert family(k=3).size(SHAPE, 4) == (3, 4)
    assert family(k=3).canonical.k == 1
    with pytest.raises(ns.InvalidInputError, match="a family takes structure, size, canonical; given 'params'"):
        family_of(layers, params=1)


@pytest.mark.parametrize("result", [None, 3, "a network"])
def test_what_is_no_network_makes_a_candidate_infeasible(result):
    def wrong(input_shape, n_outputs):
        return result

    with pytest.raises(
        InfeasibleArchitectureError, match=f"must return a torch.nn.Module; it returned {type(result).__name__}"
    ):
        family_of(wrong)().build(SHAPE, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_nas.py").write_text(MODULE)
    (tmp_path / "s.toml").write_text(STUDY)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.random((60, *SHAPE)).astype(np.float32), y=np.arange(60) % 3)
    return tmp_path


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "nas_sens", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout + ran.stderr


def test_a_study_of_own_functions_is_searched_exported_and_resumed(folder: Path, tmp_path: Path) -> None:
    (folder / "elsewhere").mkdir()
    command(folder / "elsewhere", "search", "../s.toml", "-q")  # the module lies beside the study
    scored = json.loads(
        command(folder / "elsewhere", "rank", "own", "--scored", "--format", "json").partition("]")[0] + "]"
    )
    assert {json.loads(row["architecture"])["family"] for row in scored} == {"my_nas:conv1d", "my_nas:lstm"}
    assert all(row["flops"] > 0 and row["log10_sensitivity"] is not None for row in scored)
    text = command(folder / "elsewhere", "export", "own", "-o", "net", code=2)
    assert "there is no module 'my_nas'" in text
    command(folder, "export", "own", "-o", "net", "--storage", "sqlite:///elsewhere/nas_sens.db")
    program = torch.export.load(folder / "net" / "model.pt2")
    assert program.module()(torch.rand(4, *SHAPE)).shape == (4, 3)
    (folder / "my_nas.py").write_text(MODULE.replace("// 2", "//2"))
    text = command(folder / "elsewhere", "search", "../s.toml", "--top-k", "2")
    assert "the source of my_nas:conv1d changed since study 'own' was begun" in " ".join(text.split())


def test_workers_find_the_functions_too(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    command(folder / "elsewhere", "search", "../s.toml", "-q", "--workers", "2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("my_nas:lstm", "your_nas:lstm", "there is no module 'your_nas' in .* put your_nas.py there"),
        ("my_nas:lstm", "my_nas:gru", "has no 'gru', but conv1d, Recurrent, lstm, broken"),
        ("my_nas:lstm", "lstm", "unknown key .lstm.; .*a function of your own is a family as .*module:function"),
        ("hidden =", "hiddn =", "unknown key 'my_nas:lstm.hiddn'; did you mean 'hidden'"),
        ("hidden = [2, 3, 4]", 'hidden = ["a"]', "my_nas:lstm.hidden must be a valid integer"),
    ],
)
def test_what_is_wrong_with_a_function_is_one_line(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "s.toml").write_text(STUDY.replace(old, new))
    text = command(folder, "search", "s.toml", code=2)
    assert len(text.strip().splitlines()) == 1
    assert re.search(message, text), text
    assert not list(folder.glob("*.db"))


def test_a_function_that_fails_is_told_and_nothing_is_written(folder: Path) -> None:
    (folder / "s.toml").write_text(
        STUDY.replace('my_nas:conv1d"]\n', 'my_nas:broken"]\n')
        .replace('width = { type = "int", low = 2, high = 6 }\n', "")
        .replace('[search_space."my_nas:lstm"]\nhidden = [2, 3, 4]\n', "")
    )
    text = command(folder, "search", "s.toml", code=2)
    assert "my_nas:broken fails: KeyError: 'no such layer'" in text
    assert not list(folder.glob("*.db"))
