"""Distance to the label and gap of wrong inputs (forouzesh2020, eq. 3 and 9): sums written out, and what they bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.label_distance import label_distance
from nas_sens.metrics.softmax_sensitivity import softmax_sensitivity
from nas_sens.metrics.wrong_margin import wrong_margin


@pytest.fixture
def logits_and_labels():
    g = torch.Generator().manual_seed(0)
    return 3 * torch.randn(50, 4, generator=g, dtype=torch.float64), torch.randint(0, 4, (50,), generator=g)


def test_as_the_paper_writes_it(logits_and_labels):
    logits, y = logits_and_labels
    distances, gaps = [], []
    for row, label in zip(logits.tolist(), y.tolist(), strict=True):
        total = math.fsum(map(math.exp, row))
        squares = [(math.exp(f) / total - (k == label)) ** 2 for k, f in enumerate(row)]
        distances.append(math.sqrt(math.fsum(squares)) / math.sqrt(2))
        if max(row) > row[label]:
            gaps.append(max(row) - row[label])
    assert 0 < len(gaps) < 50
    assert label_distance(nn.Identity(), logits, y, batch_size=7) == pytest.approx(math.fsum(distances) / 50, rel=1e-12)
    assert wrong_margin(nn.Identity(), logits, y, batch_size=7) == pytest.approx(math.fsum(gaps) / len(gaps), rel=1e-12)


def test_of_large_outputs_the_distance_is_the_error_and_the_loss_is_error_times_gap(logits_and_labels):
    logits, y = 1e5 * logits_and_labels[0], logits_and_labels[1]
    error = float((logits.argmax(dim=1) != y).double().mean())
    assert label_distance(nn.Identity(), logits, y) == pytest.approx(error, rel=1e-6)
    loss = float(nn.functional.cross_entropy(logits, y))
    assert error * wrong_margin(nn.Identity(), logits, y) == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("others", ["one", "all"])
def test_of_small_losses_the_distance_is_within_its_bounds(others):
    p, k = 1e-3, 5
    spread = [p] + [0.0] * 3 if others == "one" else [p / 4] * 4
    logits = torch.tensor([[math.log(1 - p), *(math.log(q) if q else -1e9 for q in spread)]], dtype=torch.float64)
    found = label_distance(nn.Identity(), logits, torch.tensor([0]))
    assert found == pytest.approx(p if others == "one" else p * math.sqrt(k / (k - 1) / 2), rel=1e-6)


def test_no_wrong_input_has_no_gap():
    x = torch.eye(3)
    assert wrong_margin(nn.Identity(), x, torch.arange(3)) == 0.0


@pytest.mark.parametrize("metric", [label_distance, wrong_margin])
def test_targets_that_are_no_classes_are_refused(metric):
    with pytest.raises(InvalidInputError, match="classes"):
        metric(nn.Identity(), torch.eye(3), torch.eye(3))
    with pytest.raises(InvalidInputError, match="classes from 0 to 3"):
        metric(nn.Identity(), torch.eye(3), torch.tensor([0, 1, 3]))


def test_behind_the_softmax_it_is_the_mean_variance_of_probabilities():
    g = torch.Generator().manual_seed(1)
    model = ns.FCSpec(depth=1, width=8, init="standard_normal").build((5,), 4, generator=g)
    x, std = torch.rand(4000, 5, generator=g), 0.1
    found = softmax_sensitivity(model, x, noise_std=std, generator=torch.Generator().manual_seed(2))
    noise = std * torch.randn(4000, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        moved = model(x + noise).double().softmax(dim=1) - model(x).double().softmax(dim=1)
    slow = float(moved.var(dim=0).sum()) / 4**2
    assert found == pytest.approx(slow, rel=0.15)  # other noise; sd of a variance of 4,000 is 2 to 4 % here
