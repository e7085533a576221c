"""Measures of networks as people have them: the value by hand, that of an equal network, or why there is none."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from nas_sens.cli.main import main
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics import metrics
from nas_sens.metrics.measurement import measure
from tests.cases import networks as cases
from tests.untouched import assert_untouched, snapshot

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(weight_norm|torch.ao|torch.jit|reduce_range|performance drop|NestedTensor|oneDNN)"
)
N = 12
# Gradients and numbers of parameters are those of the parameters that are trained: g and v of a weight norm.
BY_PARAMETERS = ("params", "ntk_condition", "stiffness", "critical_length", "cosine_critical_length")
OUTPUTS_UNUSED = (
    *("params", "l2_norm", "flops", "naswot", "near", "linear_regions", "zen", "sensitivity_kernel", "class_diameter"),
)
T, E = cases.TOKENS
H, P, F = 5, 3, 32


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def measured(model, x=None, **options):
    x = torch.rand(N, *cases.SHAPE, generator=seeded(1)) if x is None else x
    drawn = torch.get_rng_state()
    found = measure(model, x, torch.arange(len(x)) % cases.K, generator=seeded(2), **options)
    assert torch.equal(torch.get_rng_state(), drawn), "the global random state was altered"
    assert all("\n" not in m.problem and len(m.problem) < 500 for m in found)
    return {m.name: m for m in found}


def effective(model):
    """Return the network in which what the layers multiply by are ordinary weights, by PyTorch's state alone."""
    # Old hooks compute what they do when the layer is called.
    model.eval()(torch.zeros(1, *cases.SHAPE, dtype=torch.float64))
    other = (cases.convolutional() if isinstance(model[0], nn.Conv2d) else cases.plain()).double()
    for mine, its in zip(other, model, strict=True):
        if isinstance(mine, (nn.Linear, nn.Conv2d)):
            mine.weight.data, mine.bias.data = its.weight.detach().clone(), its.bias.detach().clone()
    return other


@pytest.mark.parametrize("which", ["first", "both"])
@pytest.mark.parametrize("network", [cases.plain, cases.convolutional])
@pytest.mark.parametrize("how", cases.COMPUTED)
def test_a_layer_that_computes_its_weight_counts_with_it(how, network, which):
    wrap = cases.COMPUTED[how]
    model = network(wrap, wrap) if which == "both" else network(wrap)
    model = model.double()
    other = effective(model)
    x = torch.rand(N, *cases.SHAPE, generator=seeded(1), dtype=torch.float64)
    before = snapshot(model)
    found, expected = measured(model, x), measured(other, x)
    assert_untouched(model, before)
    for name in found:
        assert expected[name].problem == found[name].problem or name in BY_PARAMETERS, name
        if name not in BY_PARAMETERS:
            assert found[name].value == pytest.approx(expected[name].value, rel=1e-6), name
    assert found["params"].value == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("how", cases.COMPUTED)
@pytest.mark.parametrize("name", ["ntk_condition", "stiffness"])
def test_gradients_by_all_parameters_are_those_that_autograd_has(name, how):
    model = cases.plain(cases.COMPUTED[how]).double().eval()
    x = torch.rand(N, *cases.SHAPE, generator=seeded(1), dtype=torch.float64)
    rows = []
    for one, label in zip(x, torch.arange(N) % cases.K, strict=True):
        output = model(one[None])
        total = output.sum() if name == "ntk_condition" else nn.functional.cross_entropy(output, label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(total, list(model.parameters()))]))
    gram = torch.stack(rows) @ torch.stack(rows).T
    of_signs = gram.sign().sum().sub(N) / (N * (N - 1))
    expected = torch.linalg.cond(gram) if name == "ntk_condition" else of_signs
    assert measured(model, x, metrics=[name])[name].value == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("how", cases.COMPUTED)
def test_weights_are_drawn_through_a_parametrisation_or_it_says_why_not(how):
    model = cases.plain(cases.COMPUTED[how])
    before = snapshot(model)
    names = ["l2_norm", "grad_norm"]
    options = {"metrics": names, "init": "he_normal", "seeds": 3}
    if "old" in how or "pruned" in how:
        with pytest.raises(InvalidInputError, match=r"no initialisation rule for Linear \(layer '1'\).*leave init out"):
            measured(model, **options)
    else:
        found = measured(model, **options)
        assert all(found[n].stderr > 0 for n in names)
        if how in ("weight_norm", "own"):
            assert found["l2_norm"].value == pytest.approx(
                measured(cases.plain(), **options)["l2_norm"].value, rel=1e-5
            )
    assert_untouched(model, before)


def test_drawn_weights_have_the_spectral_norm_1():
    from nas_sens.architectures.initialization import initialize_

    layer = parametrizations.spectral_norm(nn.Linear(20, 20))
    initialize_(layer, "he_normal", generator=seeded())
    assert float(torch.linalg.matrix_norm(layer.eval().weight, 2)) == pytest.approx(1, rel=0.1)


def test_a_parametrisation_that_takes_no_weight_says_so():
    model = cases.plain()
    nn.utils.parametrize.register_parametrization(model[1], "weight", nn.Identity())  # has no right_inverse
    with pytest.raises(InvalidInputError, match="does not take a drawn weight"):
        measured(model, init="he_normal")


# Operations by hand, a multiplication and an addition each, without the factor 2.
LSTM, HEAD = 4 * H * (E + H), H * cases.K
FLOPS = {
    "M3-lstm": (lambda: cases.Recurrent(nn.LSTM), T * LSTM + HEAD),
    "M3-lstm_two_layers": (lambda: cases.Recurrent(nn.LSTM, num_layers=2), T * (LSTM + 4 * H * 2 * H) + HEAD),
    "M3-lstm_both_ways": (lambda: cases.Recurrent(nn.LSTM, bidirectional=True), 2 * (T * LSTM + HEAD)),
    "M3-lstm_projected": (
        lambda: cases.Recurrent(nn.LSTM, num_layers=2, bidirectional=True, proj_size=P),
        2 * T * (4 * H * (E + P) + H * P + 4 * H * (2 * P + P) + H * P) + 2 * P * cases.K,
    ),
    "M3-gru": (lambda: cases.Recurrent(nn.GRU), T * 3 * H * (E + H) + HEAD),
    "M3-rnn": (lambda: cases.Recurrent(nn.RNN), T * H * (E + H) + HEAD),
    "M2-attention": (cases.Attention, 4 * T * E * E + 2 * T * T * E + E * cases.K),
    "M2-attention_of_others": (
        lambda: cases.Attention(kdim=E, vdim=E, bias=False), 4 * T * E * E + 2 * T * T * E + E * cases.K,
    ),
    "M2-encoder": (cases.Encoder, 2 * (4 * T * E * E + 2 * T * T * E + 2 * T * E * F) + E * cases.K),
    "M2-norm_first": (lambda: cases.Encoder(True), 2 * (4 * T * E * E + 2 * T * T * E + 2 * T * E * F) + E * cases.K),
    "M2-einsum": (lambda: cases.Functional(lambda x, w: torch.einsum("ab,cb->ac", x, w), 10, T * E), 10 * T * E),
    "M2-matmul": (lambda: cases.Functional(lambda x, w: x @ w, T * E, 10), 10 * T * E),
    "M2-vector": (lambda: cases.Functional(lambda x, w: (w @ x[0])[None], 10, T * E), 10 * T * E),
    "M2-dot": (lambda: cases.Functional(lambda x, w: torch.dot(w, x[0]).expand(len(x), 10), T * E), T * E),
    "M2-bmm": (
        lambda: cases.Functional(lambda x, w: torch.bmm(x[:, None], w.expand(len(x), -1, -1))[:, 0], T * E, 10),
        10 * T * E,
    ),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", FLOPS)
def test_flops_are_those_of_the_formula(case, training):
    build, expected = FLOPS[case]
    model = build().train(training)
    fast = torch.backends.mha.get_fastpath_enabled()
    assert measured(model, torch.rand(N, T, E), metrics=["flops"])["flops"].value == 2 * expected
    assert torch.backends.mha.get_fastpath_enabled() == fast


UNCOUNTED = {
    "fft": lambda x, w: torch.fft.fft(x).real @ w.T,
    "cdist": torch.cdist,
    "bilinear": lambda x, w: nn.functional.bilinear(x, x, w[:, :, None].expand(-1, -1, x.shape[1])),
}


@pytest.mark.parametrize("how", UNCOUNTED)
def test_flops_without_a_formula_are_not_defined(how):
    model = cases.Functional(UNCOUNTED[how], 10, T * E)
    problem = measured(model, torch.rand(N, T, E), metrics=["flops"])["flops"].problem
    assert problem.startswith("not defined for aten.")


@pytest.mark.parametrize(
    ("build", "weights"),
    [
        (cases.Attention, ["attention.in_proj_weight", "attention.out_proj.weight", "head.weight"]),
        (lambda: cases.Recurrent(nn.GRU), ["cell.weight_ih_l0", "cell.weight_hh_l0", "head.weight"]),
        (
            lambda: cases.Recurrent(nn.LSTM, bidirectional=True, proj_size=P),
            [f"cell.weight_{w}_l0{d}" for d in ("", "_reverse") for w in ("ih", "hh", "hr")] + ["head.weight"],
        ),
    ],
    ids=["M2-attention", "M3-gru", "M3-lstm"],
)
def test_inner_weights_are_in_the_measures_over_weights(build, weights):
    model, x = build(), torch.rand(N, T, E, generator=seeded(1))
    found = measured(model, x)
    named = dict(model.named_parameters())
    assert found["l2_norm"].value == pytest.approx(sum(float(named[n].norm()) for n in weights), rel=1e-6)
    loss = nn.functional.cross_entropy(model(x), torch.arange(N) % cases.K)
    gradients = torch.autograd.grad(loss, [named[n] for n in weights])
    assert found["grad_norm"].value == pytest.approx(sum(float(g.norm()) for g in gradients), rel=1e-5)
    products = sum(float((named[n] * g).abs().sum()) for n, g in zip(weights, gradients, strict=True))
    assert found["snip"].value == pytest.approx(products, rel=1e-5)
    for name in ("near", "fisher"):  # of outputs of layers, which these have not
        assert found[name].problem.startswith("not defined for ")
    assert all(found[n].value is not None for n in ("grasp", "synflow", "zico"))


def test_a_parameter_of_ones_own_that_multiplies_counts_as_a_layers_weight():
    wrapped, own = nn.Linear(64, 10, bias=False), cases.Functional(lambda x, w: x @ w.T, 10, 64)
    own.weight.data = wrapped.weight.detach().clone()
    layers, other = (nn.Sequential(first, nn.ReLU(), nn.Linear(10, 10)) for first in (wrapped, own))
    other[2].load_state_dict(layers[2].state_dict())
    expected, found = measured(nn.Sequential(nn.Flatten(), layers)), measured(nn.Sequential(nn.Flatten(), other))
    for name in ("grad_norm", "snip", "synflow", "zico", "grasp", "l2_norm", "flops", "params"):
        assert found[name].value == pytest.approx(expected[name].value, rel=1e-5), name
    for name in ("near", "fisher"):
        assert found[name].problem == "not defined where a parameter outside layers multiplies; '1.0.weight' does"
    added = cases.Functional(lambda x, w: x + w, 1, 64)  # as a table of positions
    assert measured(nn.Sequential(added, nn.Linear(64, 10)), metrics=["near"])["near"].value > 0


def test_a_weight_that_is_used_without_a_call_of_its_layer_is_not_left_out_silently():
    found = measured(cases.TiedByFunction())
    for name in ("near", "fisher"):
        assert found[name].problem == "not defined where the weight of a layer is used without a call of it: 'first'"
    unused = cases.Heads(lambda main, aux: main)
    assert measured(unused, metrics=["near"])["near"].value > 0  # what outputs do not depend on is not missed


@pytest.mark.parametrize("first", [True, False], ids=["one", "all"])
def test_quantised_layers_have_no_zeros(first):
    model = cases.quantised(first)
    found = measured(model)
    for name, m in found.items():
        if name in (
            "output_sensitivity",
            "relative_sensitivity",
            "batch_sensitivity",
            "output_normalized_loss",
            "softmax_sensitivity",
            "label_distance",
            "wrong_margin",
            "class_diameter",
            "naswot",
            "linear_regions",
        ):  # of outputs alone
            assert math.isfinite(m.value), name
        else:
            assert "not defined for quantised layers" in m.problem, (name, m)


FAILING = {
    "M5-tuple": (lambda: cases.Heads(lambda a, b: (a, b)), "must give one tensor (n, …); it gives a tuple of 0 ("),
    "M5-dict": (lambda: cases.Heads(lambda a, b: {"a": a, "b": b}), "it gives a dict of 'a' ("),
    "M5-none": (
        lambda: cases.Heads(lambda a, b: None),
        "must give one tensor (n, …); it gives a NoneType; give output",
    ),
    "M6-two_inputs": (lambda: cases.Two(None), "missing 1 required positional argument: 'meta'"),
    "M6-assertion": (
        lambda: cases.Raises(AssertionError("needs 224")),
        "on inputs (n, 1, 8, 8): AssertionError: needs 224",
    ),
    "M6-key": (lambda: cases.Raises(KeyError("a\x1b[31m")), "KeyError: 'a"),
    "M6-bare": (lambda: cases.Raises(ZeroDivisionError()), "ZeroDivisionError"),
    "M6-type": (lambda: cases.Raises(TypeError("two\nlines")), "TypeError: two"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_network_that_fails_says_so_by_row_and_other_measures_stand(case):
    build, text = FAILING[case]
    model = build()
    before = snapshot(model)
    found = measured(model)
    assert_untouched(model, before)
    assert found["params"].value == sum(p.numel() for p in model.parameters())
    assert found["l2_norm"].value > 0
    for name, m in found.items():
        assert m.value is None or name in OUTPUTS_UNUSED, name
        assert m.value is not None or text in m.problem or "chain" in m.problem, (name, m.problem)
    assert "\x1b" not in "".join(m.problem for m in found.values())


def test_a_backward_pass_that_fails_is_the_networks():
    found = measured(cases.BrokenBackward(None))
    assert 'KeyError: "a backward pass of one\'s own"' in found["grad_norm"].problem
    assert found["output_sensitivity"].value is not None


def test_a_mistake_in_a_measure_is_not_taken_for_the_networks():
    from nas_sens.metrics import METRICS, Metric

    code = {"__name__": "nas_sens.metrics.mistaken"}
    exec(
        "def mistaken(model, x, y=None, *, generator=None):\n"
        "    def hook(*_):\n"
        "        raise KeyError('ours')\n"
        "    handle = model.register_forward_hook(hook)\n"
        "    try:\n"
        "        return model(x)\n"
        "    finally:\n"
        "        handle.remove()\n",
        code,
    )
    METRICS.register(Metric(function=code["mistaken"], direction="larger", source="", cost=""))
    try:
        with pytest.raises(KeyError, match="ours"):
            measured(cases.plain(), metrics=["mistaken"])
    finally:
        METRICS.unregister("mistaken")


@pytest.mark.parametrize("name", [*metrics(), "all"])
def test_a_network_is_left_as_it_was_found(name):
    model = cases.Stateful()
    model.body[1].weight.grad = gradient = torch.ones_like(model.body[1].weight)
    model.body[3].bias.requires_grad_(False)
    model.body[2].eval()
    weights = [id(p) for p in model.parameters()]
    before = snapshot(model)
    for init in (None, "he_normal"):
        first = measured(model, metrics=name, init=init)
        assert_untouched(model, before)
        assert (model.seen, model.kept, hasattr(model, "extra")) == (0, None, False)
        again = measured(model, metrics=name, init=init)
        # It draws by itself, yet a value is repeated.
        assert [(m.value, m.problem) for m in first.values()] == [(m.value, m.problem) for m in again.values()]
    assert model.body[1].weight.grad is gradient
    assert [id(p) for p in model.parameters()] == weights


def whole(model):
    """Return what a network consists of, beside what `snapshot` looks at."""
    tables = ("_parameters", "_buffers", "_modules")
    return [{t: {k: id(v) for k, v in vars(m)[t].items()} for t in tables} for m in model.modules()]


def of_the_process():
    drawn = np.random.get_state()[1].tolist()  # noqa: NPY002 - what a network may draw from
    return random.getstate(), drawn, torch.get_default_dtype(), torch.get_num_threads()


@pytest.mark.parametrize("act", cases.ACTS)
def test_what_a_network_does_when_it_is_called_is_undone(act):
    model = cases.acting(act)
    before, parts = snapshot(model), whole(model)
    process = of_the_process()
    measured(model)
    now = of_the_process()
    torch.set_default_dtype(process[2])
    torch.set_num_threads(process[3])
    assert now == process
    assert_untouched(model, before)
    assert whole(model) == parts


def test_observers_of_quantisation_are_left_as_they_were():
    model = cases.trained_for_integers()
    before = snapshot(model)
    found = measured(model)
    assert_untouched(model, before)
    assert found["output_sensitivity"].value is not None


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m.eval(), torch.zeros(2, *cases.SHAPE))])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_has_the_values_of_outputs_and_says_why_not_those_of_layers(make):
    plain = measured(cases.plain())
    found = measured(make(cases.plain()))
    for name in ("params", "flops", "output_sensitivity", "output_normalized_loss", "jacob_cov", "jacobian_norm"):
        assert found[name].value == pytest.approx(plain[name].value, rel=1e-5), name
    for name in ("l2_norm", "grad_norm", "snip", "synflow", "zico", "grasp", "fisher", "near", "zen", "norm_product"):
        assert "not defined for modules of TorchScript" in found[name].problem, name


def test_complex_weights_are_not_left_out_silently():
    found = measured(cases.Complex())
    for name in ("l2_norm", "grad_norm", "snip", "synflow", "zico", "grasp", "fisher", "near", "ntk_condition", "zen"):
        assert found[name].problem == "not defined for complex weights; 'first.weight' has such", name
    assert found["output_sensitivity"].value is not None


def test_a_table_that_is_multiplied_as_a_copy_counts():
    model = cases.Series()
    found = measured(model, metrics=["l2_norm", "flops", "near"])
    expected = sum(float(p.detach().norm()) for p in (model.table, model.head.weight))
    assert found["l2_norm"].value == pytest.approx(expected, rel=1e-6)
    assert found["flops"].value == 2 * (64 * cases.WIDTH * 3 + cases.WIDTH * cases.K)
    assert found["near"].problem == "not defined where a parameter outside layers multiplies; 'table' does"


@pytest.mark.parametrize("init", [None, "he_normal"])
@pytest.mark.parametrize("name", ["all", "output_sensitivity", "params"])
def test_a_lazy_network_is_measured_and_can_be_trained_afterwards(name, init):
    model = cases.lazy()
    found, again = (measured(model, metrics=name, init=init) for _ in range(2))
    assert all(m.problem == "" or "networks is" in m.problem for m in found.values())
    assert [m.value for m in found.values()] == [m.value for m in again.values()]
    assert all(nn.parameter.is_lazy(p) for p in model.parameters())
    model(torch.rand(N, *cases.SHAPE)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_compiled_and_parallel_networks_have_the_values_of_what_they_wrap():
    expected = {n: m.value for n, m in measured(cases.plain()).items()}
    inside = nn.Sequential(torch.compile(cases.plain(), backend="eager"))
    for model in (torch.compile(cases.plain(), backend="eager"), nn.DataParallel(cases.plain())):
        assert {n: m.value for n, m in measured(model).items()} == expected
    found = measured(inside, metrics=["naswot", "fisher", "flops"])
    assert {n: m.value for n, m in found.items()} == {n: expected[n] for n in found}


# --- in the command, with a module in the working directory

CODE = {
    "nets": "import torch\nfrom torch import nn\nimport beside\n"
    "def plain(n_outputs): return beside.plain(n_outputs)\n"
    "def lazy(n_outputs): return nn.Sequential(nn.Flatten(), nn.LazyLinear(n_outputs))\n"
    "def configured(config): return None\n"
    "def fails(): raise KeyError('classes')\n"
    "def nothing(): return None\n"
    "class Tuple(nn.Module):\n"
    "    def __init__(self, n_outputs): super().__init__(); self.a = nn.Linear(64, n_outputs)\n"
    "    def forward(self, x): z = self.a(x.flatten(1)); return z, z\n",
    "beside": "from torch import nn\ndef plain(n): return nn.Sequential(nn.Flatten(), nn.Linear(64, n))\n",
    "syntax": "def f(:\n",
    "absent": "import not_there_at_all\n",
    "leaves": "import sys\nsys.exit(3)\n",
    "raises": "raise ValueError('a\\nb')\n",
}
COMMANDS = {
    "M8-plain": ("nets:plain --metrics params", 0, "650"),
    "M4-lazy": ("nets:lazy --metrics output_sensitivity,l2_norm", 0, "l2_norm"),
    "M5-tuple": ("nets:Tuple --metrics params,grad_norm", 0, "it gives a tuple"),
    "M5-tuple_alone": (
        "nets:Tuple --metrics grad_norm",
        2,
        "can be taken: the network must give one tensor (n, …); it gives a tuple of",
    ),
    "M5-arguments": ("nets:configured", 2, "it needs config"),
    "M5-fails": ("nets:fails", 2, "nets:fails fails: KeyError: 'classes'"),
    "M5-nothing": ("nets:nothing", 2, "it gave NoneType"),
    "M8-unknown": ("netz:plain", 2, "there is no module 'netz' in the working directory"),
    "M8-name": ("nets:plane", 2, "has no 'plane', but plain, lazy"),
    "M8-syntax": ("syntax:f", 2, "the module syntax cannot be imported: SyntaxError"),
    "M8-absent": ("absent:f", 2, "ModuleNotFoundError: No module named 'not_there_at_all'"),
    "M8-leaves": ("leaves:f", 2, "SystemExit: 3"),
    "M8-raises": ("raises:f", 2, "ValueError: a;"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("own")
    for name, text in CODE.items():
        (path / f"{name}.py").write_text(text)
    return path


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_finds_modules_in_the_working_directory(case, folder, monkeypatch, capfd):
    arguments, code, text = COMMANDS[case]
    monkeypatch.chdir(folder)
    for name in CODE:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(folder))])
    path = list(sys.path)
    with pytest.raises(SystemExit) as ended:
        main(f"measure {arguments} --data digits --n-inputs 8 --format csv".split())
    output = "".join(capfd.readouterr())
    assert ended.value.code == code, output
    assert text in output
    assert "Traceback" not in output
    assert code == 0 or len(output.strip().splitlines()) == 1
    assert sys.path[: len(path)] == path, "the folder is looked into last once the module is there"


def test_the_installed_command_does_so_too(folder):
    """Its path begins with the folder of the command, not with the working directory."""
    command = "import sys; sys.path.pop(0); sys.argv[0] = 'nas-sens'; from nas_sens.cli.main import main; main()"
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", command, "measure", "nets:plain", "--data=digits", "--metrics=params", "--format=csv"],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "params,650" in done.stdout
