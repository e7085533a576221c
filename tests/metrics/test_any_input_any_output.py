"""Networks of any input and output: S and every measure has a value or says in one line why not, and alters nothing."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import nas_sens as ns
from nas_sens.metrics import metrics

N = 6


def drawn(*shape):
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(1))


def tokens(length=5, n_words=20):
    return torch.randint(0, n_words, (N, length), generator=torch.Generator().manual_seed(2))


class Net(nn.Module):
    """A network of parts and a function of these and of the inputs."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


@dataclass
class Logits:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


def lstm_classifier():
    parts = {"embedding": nn.Embedding(20, 4), "lstm": nn.LSTM(4, 5, batch_first=True, bidirectional=True)}
    return Net(lambda m, x: m.head(m.lstm(m.embedding(x))[0][:, -1]), head=nn.Linear(10, 3), **parts)


def masked_mean():
    def run(m, ids, mask):
        weights = mask[..., None].float()
        return {"logits": m.head((m.embedding(ids) * weights).sum(1) / weights.sum(1)), "loss": torch.zeros(())}

    return Net(run, embedding=nn.Embedding(20, 4), head=nn.Linear(4, 3))


def siamese():
    return Net(lambda m, a, b: m.head((m.branch(a) - m.branch(b)).abs()), branch=nn.Linear(4, 6), head=nn.Linear(6, 2))


def image_and_tokens():
    def run(m, image, ids):
        return m.head((m.see(image) + m.bag(ids)).relu())

    return Net(run, see=nn.Linear(4, 6), bag=nn.EmbeddingBag(20, 6), head=nn.Linear(6, 2))


def autoencoder():
    def run(m, x):
        mean, log_variance = m.encoder(x).chunk(2, 1)
        return m.decoder(mean), mean, log_variance

    return Net(run, encoder=nn.Linear(4, 6), decoder=nn.Linear(3, 4))


def segmentation():
    def run(m, x):
        return {"out": m.head(m.body(x).relu()), "aux": m.body(x)}

    return Net(run, body=nn.Conv2d(3, 4, 3, padding=1), head=nn.Conv2d(4, 2, 1))


def transformer():
    inner = nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
    return Net(lambda m, a, b: m.head(m.inner(a, b)), inner=inner, head=nn.Linear(4, 3))


def seq_first():
    run = lambda m, x: m.head(m.lstm(m.embedding(x.t()))[0][-1])  # noqa: E731
    return Net(run, embedding=nn.Embedding(20, 4), lstm=nn.LSTM(4, 5), head=nn.Linear(5, 3))


def tied():
    model = Net(lambda m, x: m.head(m.embedding(x)).mean(1), embedding=nn.Embedding(20, 4), head=nn.Linear(4, 20))
    model.head.weight = model.embedding.weight
    return model


def mlp(*inner):
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), *inner, nn.Linear(6, 3))


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]] * (N // 2))
CASES: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any]]] = {
    "tokens": (lstm_classifier, tokens(), {}),
    "tokens behind the LSTM's input": (lstm_classifier, tokens(), {"noise_at": "embedding"}),
    "tokens, sequence first": (seq_first, tokens(), {}),
    "tokens, tied": (tied, tokens(), {}),
    "dict of tokens and mask": (masked_mean, {"ids": tokens(), "mask": MASK}, {}),
    "siamese": (siamese, (drawn(4), drawn(4)), {}),
    "image and tokens": (image_and_tokens, {"image": drawn(4), "ids": tokens()}, {}),
    "autoencoder": (autoencoder, drawn(4), {"output": 0}),
    "autoencoder, function": (autoencoder, drawn(4), {"output": lambda given: given[1]}),
    "segmentation": (segmentation, drawn(3, 6, 6), {"output": "out"}),
    "map": (lambda: nn.Conv2d(3, 2, 1), drawn(3, 6, 6), {}),
    "sequence": (lambda: nn.Conv1d(3, 2, 1), drawn(3, 7), {}),
    "one number each": (lambda: Net(lambda m, x: m.a(x)[:, 0], a=nn.Linear(4, 1)), drawn(4), {}),
    "dataclass": (lambda: Net(lambda m, x: Logits(m.a(x), m.a(x).sum()), a=nn.Linear(4, 3)), drawn(4), {}),
    "logits and auxiliary loss": (
        lambda: Net(lambda m, x: (m.a(x), m.a(x).sum()), a=nn.Linear(4, 3)), drawn(4), {},
    ),
    "float inputs, noise inside": (mlp, drawn(4), {"noise_at": "0"}),
    "transformer": (transformer, (drawn(5, 4), drawn(3, 4)), {}),
    "bfloat16": (lambda: mlp(nn.BatchNorm1d(6)).bfloat16(), drawn(4), {}),
    "float16 inputs": (mlp, drawn(4).half(), {}),
    "float64": (lambda: mlp().double(), drawn(4), {}),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3)), drawn(4), {}),
    "weight norm": (lambda: mlp(parametrizations.weight_norm(nn.Linear(6, 6))), drawn(4), {}),
    "old weight norm": (lambda: mlp(nn.utils.spectral_norm(nn.Linear(6, 6))), drawn(4), {}),
    "orthogonal": (lambda: mlp(parametrizations.orthogonal(nn.Linear(6, 6))), drawn(4), {}),
}  # fmt: skip
# Of inputs and outputs of these kinds, every network has these.
ALWAYS = ("output_sensitivity", "params", "flops", "jacobian_norm")


def generator():
    return torch.Generator().manual_seed(0)


def made(name):
    make, x, how = CASES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(), x, how


@pytest.mark.parametrize("name", CASES)
def test_s_and_measures_have_values_and_alter_nothing(name):
    model, x, how = made(name)
    is_lazy = any(map(nn.parameter.is_lazy, model.parameters()))
    before = {} if is_lazy else {k: v.clone() for k, v in model.state_dict().items()}
    s = ns.output_sensitivity(model, x, generator=generator(), **how)
    assert s > 0
    if x is not None and not is_lazy:  # batches draw other noise behind a module, but about as much
        assert ns.output_sensitivity(model, x, n_noise=200, batch_size=4, generator=generator(), **how) > 0
    found = {m.name: m for m in ns.measure(model, x, torch.arange(N) % 2, generator=generator(), **how)}
    assert found.keys() == metrics().keys()
    for m in found.values():
        assert (m.value is not None) or m.problem, m
        assert "\n" not in m.problem
        assert "Error" not in m.problem, m.problem
    assert {k: found[k].problem for k in ALWAYS} == dict.fromkeys(ALWAYS, "")
    assert model.training
    assert any(map(nn.parameter.is_lazy, model.parameters())) == is_lazy
    if not is_lazy:
        assert all(torch.equal(v, before[k]) and v.dtype == before[k].dtype for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


REFUSED: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any], str]] = {
    "ambiguous tuple": (autoencoder, drawn(4), {}, "a tuple of 0 (6, 4), 1 (6, 3), 2 (6, 3); say which"),
    "ambiguous dict": (segmentation, drawn(3, 6, 6), {}, "'out' (6, 2, 6, 6), 'aux' (6, 4, 6, 6); say which"),
    "no such key": (segmentation, drawn(3, 6, 6), {"output": "logits"}, "no output 'logits'"),
    "function fails": (autoencoder, drawn(4), {"output": lambda given: given.nope}, "fails"),
    "no row for each": (lambda: nn.LSTM(4, 5), drawn(3, 4), {"output": lambda g: g[1][0]}, "one row for each input"),
    "classes, no numbers": (mlp, drawn(4), {"output": lambda given: given.argmax(1)}, "floating-point numbers"),
    "no such module": (lstm_classifier, tokens(), {"noise_at": "embed"}, "'embedding'"),
    "module does not run": (
        lambda: Net(lambda m, x: m.a(x), a=nn.Linear(4, 3), b=nn.Linear(4, 3)), drawn(4), {"noise_at": "b"}, "not run",
    ),
    "module of a tuple": (lstm_classifier, tokens(), {"noise_at": "lstm"}, "'lstm' gives a tuple"),
    "no place for noise": (mlp, tokens(4), {}, "floating-point"),
    "lists of boxes": (
        lambda: Net(lambda m, x: [{"boxes": m.a(x)} for _ in x], a=nn.Linear(4, 4)), drawn(4), {}, "function of it",
    ),
    "other rows": (siamese, (drawn(4), drawn(4)[:3]), {}, "same number of rows"),
    "another device": (lambda: mlp().to("meta"), drawn(4), {}, "meta device"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_plain_is_one_line(name):
    make, x, how, text = REFUSED[name]
    with pytest.raises(ns.InvalidInputError) as refusal:
        ns.output_sensitivity(make(), x, **how)
    assert text in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_several_tensors_are_one_input_laid_side_by_side():
    """Noise of the same size enters all, so that a linear network has the S of all its weights together."""
    model = Net(lambda m, a, b: m.one(a) + m.two(b), one=nn.Linear(3, 1, bias=False), two=nn.Linear(5, 1, bias=False))
    with torch.no_grad():
        model.one.weight.fill_(1.0)
        model.two.weight.fill_(2.0)
    x = (torch.zeros(20_000, 3), torch.zeros(20_000, 5))
    s = ns.output_sensitivity(model, x, noise_std=0.1, generator=generator())
    assert s == pytest.approx(0.01 * (3 + 4 * 5), rel=0.05)


def test_noise_enters_behind_the_named_module_at_each_of_its_calls():
    model = Net(
        lambda m, a, b: m.embedding(a).sum((1, 2)) - 3 * m.embedding(b).sum((1, 2)), embedding=nn.Embedding(9, 2)
    )
    ids = torch.zeros((20_000, 4), dtype=torch.long)
    s = ns.output_sensitivity(model, (ids, ids), noise_std=0.1, generator=generator())
    assert s == pytest.approx(0.01 * 8 * (1 + 9), rel=0.05)


def test_all_numbers_of_a_map_are_outputs():
    model = nn.Conv2d(2, 3, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    x = torch.zeros(20_000, 2, 2, 2)
    # The mean over 3 channels and 4 positions is that of the 8 noises times 2.
    s = ns.output_sensitivity(model, x, noise_std=0.1, generator=generator())
    assert s == pytest.approx(0.01 * 4 / 8, rel=0.05)
    flat = nn.Sequential(model, nn.Flatten())
    assert s == pytest.approx(ns.output_sensitivity(flat, x, noise_std=0.1, generator=generator()))


def test_a_softmax_is_over_classes_at_every_position():
    model, x = nn.Conv2d(2, 3, 1), drawn(2, 2, 2)
    values = [
        ns.output_sensitivity(nn.Conv2d(2, 3, 1), x[:, :, i : i + 1, j : j + 1], after_softmax=True, n_noise=1)
        for i in range(2) for j in range(2)
    ]  # fmt: skip
    assert all(v > 0 for v in values)
    with torch.no_grad():
        model.weight.fill_(1.0)  # all classes move alike, which a softmax does not see
    assert ns.output_sensitivity(model, x, after_softmax=True) < 1e-12 < ns.output_sensitivity(model, x)


def test_half_precision_is_measured_as_single():
    model = mlp().bfloat16()
    twin = mlp()
    twin.load_state_dict(model.float().state_dict())
    expected = ns.output_sensitivity(twin, drawn(4), generator=generator())
    half = twin.bfloat16()
    assert ns.output_sensitivity(half, drawn(4), generator=generator()) == pytest.approx(expected, rel=1e-6)
    assert next(half.parameters()).dtype == torch.bfloat16


def test_a_named_tuple_is_asked_by_its_names():
    pair = namedtuple("pair", "a b")
    model = Net(lambda m, x: pair(m.a(x), m.a(x) * 2), a=nn.Linear(4, 3))
    one = ns.output_sensitivity(model, drawn(4), output="a", generator=generator())
    assert ns.output_sensitivity(model, drawn(4), output="b", generator=generator()) == pytest.approx(4 * one)
    assert ns.output_sensitivity(model, drawn(4), output=1, generator=generator()) == pytest.approx(4 * one)


def test_torchvision_as_it_is():
    segmentations = pytest.importorskip("torchvision").models.segmentation
    model = segmentations.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    assert ns.output_sensitivity(model, drawn(3, 32, 32)[:2], generator=generator()) > 0
