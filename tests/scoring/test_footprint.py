"""What a forward pass takes: peak of memory against sums by hand, layers by kind."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas_sens.scoring.footprint import footprint

FLOAT = 4


@given(widths=st.lists(st.integers(1, 40), min_size=2, max_size=6), batch=st.integers(1, 5))
def test_the_peak_of_a_chain_is_its_largest_pair_of_neighbours_beside_the_input(widths, batch):
    """The input is held by the caller, and a layer's input by the chain until its output is there."""
    model = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(widths)))
    inside = [a + b for a, b in pairwise(widths[1:])]
    most = widths[0] + max([widths[1], *inside])
    found = footprint(model, torch.zeros(batch, widths[0]))
    assert found.peak_bytes - found.weight_bytes == FLOAT * batch * most
    assert found.weight_bytes == FLOAT * sum(a * b for a, b in pairwise(widths))
    assert found.output_bytes == FLOAT * batch * sum(widths[1:])


class Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 10), nn.Linear(10, 10)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))


def test_what_a_shortcut_holds_counts_and_in_place_operations_take_nothing():
    held = footprint(nn.Sequential(nn.Linear(10, 10), Shortcut()), torch.zeros(1, 10))
    assert held.peak_bytes - held.weight_bytes == FLOAT * (10 + 10 + 2 * 10)  # input, shortcut, and one layer's two
    plain = nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 3))
    in_place = nn.Sequential(nn.Linear(10, 50), nn.ReLU(inplace=True), nn.Linear(50, 3))
    peaks = [footprint(m, torch.zeros(1, 10)).peak_bytes for m in (plain, in_place)]
    assert peaks[0] - peaks[1] == FLOAT * (50 - 3)


def test_layers_are_counted_by_kind_as_often_as_they_run():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    model = nn.Sequential(
        *(conv, conv, nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Identity(), nn.Flatten()),
        *(nn.Dropout(), nn.LazyLinear(2)),
    )
    model(torch.zeros(1, 4, 8, 8))
    found = footprint(model, torch.zeros(1, 4, 8, 8)).layers
    expected = {"convolution": 2, "depthwise convolution": 1, "linear": 1, "normalisation": 1, "other": 1}
    assert found == expected


def test_weights_that_layers_share_are_held_once_and_the_network_is_as_before():
    layer = nn.Linear(8, 8)
    model = nn.Sequential(layer, layer, nn.BatchNorm1d(8)).train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    found = footprint(model, torch.zeros(4, 8))
    assert found.weight_bytes == sum(
        t.numel() * t.element_size() for t in (*layer.parameters(), *model[2].parameters(), *model[2].buffers())
    )
    assert model.training
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("batch", [1, 7])
def test_memory_of_results_grows_with_the_batch_and_that_of_weights_does_not(batch):
    model = nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 3))
    one, many = footprint(model, torch.zeros(1, 10)), footprint(model, torch.zeros(batch, 10))
    assert many.weight_bytes == one.weight_bytes
    assert many.peak_bytes - many.weight_bytes == batch * (one.peak_bytes - one.weight_bytes)
