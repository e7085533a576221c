"""Weights from common numbers: distributions of the schemes, no number twice, the same whatever came first."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.common_numbers import CommonNumbers
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.architectures.resnet import ResNetSpec
from nas_sens.core.init_schemes import INIT_SCHEMES
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec

CPU = torch.device("cpu")
FAMILIES = [
    FCSpec(depth=3, width=200),
    CNNSpec(depth=2, channels=9, hidden_units=30),
    ResNetSpec(stages=2, blocks=1, width=8),
]


def numbers(**options):
    return CommonNumbers("test", device=CPU, **options)


def drawn(spec, common, scheme="standard_normal", *, i=0, dtype=torch.float32):
    model = spec.blank((1, 28, 28), 10, device="cpu").to(dtype)
    initialize_(model, scheme, generator=common.network(i))
    return model


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
@pytest.mark.parametrize("make", [lambda: nn.Linear(700, 300), lambda: nn.Conv2d(40, 80, 5, groups=2)])
def test_every_scheme_keeps_its_distribution(scheme, make):
    found, expected = make(), make()
    initialize_(found, scheme, generator=numbers().network(0))
    initialize_(expected, scheme, generator=torch.Generator().manual_seed(0))
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        a, b = (np.sort(t.detach().double().flatten().numpy()) for t in (a, b))
        # The two-sample Kolmogorov-Smirnov distance, at a level of 1e-6.
        both = np.concatenate([a, b])
        distance = np.abs(np.searchsorted(a, both, "right") - np.searchsorted(b, both, "right")).max() / len(a)
        assert distance <= math.sqrt(-math.log(1e-6 / 2) / len(a)) or (a == b).all()


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda s: s.family)
def test_no_number_is_in_a_network_twice_nor_in_two_networks(spec):
    common = numbers()
    every = torch.cat([p.detach().flatten() for i in range(3) for p in drawn(spec, common, i=i).parameters()])
    every = every[(every != 0) & (every != 1)]  # of normalisation layers
    # Of n floats near 1, which have some 2^24 values, some coincide by chance: n² / 2^25, about.
    n_twins = len(every) - len(every.unique())
    assert n_twins < 4 * len(every) ** 2 / 2**25 + 10


def test_a_wider_layer_begins_with_the_narrower_one_and_places_differ():
    common = numbers()
    narrow, wide, deep = (drawn(FCSpec(depth=d, width=w), common) for d, w in ((2, 130), (2, 600), (3, 130)))
    pairs = list(zip(narrow.parameters(), wide.parameters(), strict=True))
    for a, b in pairs:
        corner = tuple(slice(0, n) for n in a.shape)
        assert torch.equal(a, b[corner])
    for a, b in list(zip(narrow.parameters(), deep.parameters(), strict=False))[:4]:
        assert torch.equal(a, b)
    assert not torch.equal(pairs[2][0][:, :130], pairs[4][0][:, :130][: pairs[2][0].shape[0]][:10])


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_weights_are_the_same_whatever_came_first_and_is_kept(scheme, same_global_rng):
    first, second, forgetful = numbers(), numbers(), numbers(kept_bytes=300_000)
    orders = [(first, FAMILIES), (second, FAMILIES[::-1]), (forgetful, FAMILIES)]
    found = {
        (k, spec): torch.cat([p.detach().flatten() for p in drawn(spec, common, scheme, i=1).parameters()])
        for k, (common, specs) in enumerate(orders)
        for spec in specs
    }
    for spec in FAMILIES:
        assert torch.equal(found[0, spec], found[1, spec])
        assert torch.equal(found[0, spec], found[2, spec])
    kept = sum(t.numel() * t.element_size() for t in forgetful._kept.values())
    assert kept <= 300_000
    assert kept or scheme == "orthogonal"


@pytest.mark.parametrize("scheme", [s for s in INIT_SCHEMES if s != "orthogonal"])
def test_weights_in_other_types_and_orders_of_memory_are_the_same_ones(scheme):
    common, spec = numbers(), FAMILIES[1]
    single, double = drawn(spec, common, scheme), drawn(spec, common, scheme, dtype=torch.float64)
    half = drawn(spec, common, scheme, dtype=torch.bfloat16)
    channels_last = spec.blank((1, 28, 28), 10, device="cpu").to(memory_format=torch.channels_last)
    initialize_(channels_last, scheme, generator=common.network(0))
    for a, b, c, d in zip(*(m.parameters() for m in (single, double, half, channels_last)), strict=True):
        assert torch.equal(a.double(), b)
        assert torch.equal(a.bfloat16(), c)
        assert torch.equal(a, d)


def test_differences_of_similar_candidates_have_a_smaller_error(digits):
    """The same luck cancels: over repeated scores, log10 S of a width of 40 less that of 41 varies far less."""
    spec = ScoreSpec(estimator="monte_carlo", n_inputs=16, seeds=2)
    pair = [FCSpec(depth=2, width=w) for w in (40, 41)]
    models = [s.blank((1, 8, 8), 10, device="cpu") for s in pair]
    found = np.empty((2, 60))
    for seed in range(60):
        probe = Probe(digits.x_val, spec, seed=seed)
        found[:, seed] = [score(s, m, probe).log10_sensitivity for s, m in zip(pair, models, strict=True)]
    independent = math.sqrt(found.var(axis=1, ddof=1).sum())
    assert np.std(found[0] - found[1], ddof=1) < independent / 2
