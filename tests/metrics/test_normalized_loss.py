"""Normalised losses against networks whose weights are normalised layer by layer, and their invariances."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.l1_normalized_loss import l1_normalized_loss
from nas_sens.metrics.norm_product import norm_product
from nas_sens.metrics.normalized_loss import normalized_loss
from nas_sens.metrics.normalized_margin import normalized_margin
from nas_sens.metrics.normalized_top_output import normalized_top_output
from nas_sens.metrics.normalized_top_spread import normalized_top_spread
from nas_sens.metrics.output_normalized_loss import output_normalized_loss
from nas_sens.metrics.smallest_margin import smallest_margin

RTOL = 1e-9
CHAINS = {
    "fc": FCSpec(depth=2, width=8, bias=True, init="standard_normal"),
    "fc_norm": FCSpec(depth=2, width=6, batch_norm=True, dropout=0.2, init="he_normal"),
    "cnn": CNNSpec(depth=2, channels=3, padding=1, batch_norm=True, max_pool=True, hidden_units=4, init="he_normal"),
    "cnn_bare": CNNSpec(depth=2, channels=3, bias=False, init="he_normal"),
}


def build(name, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (2, 5, 5)
    model = CHAINS[name].build(shape, 3, generator=g, dtype=torch.float64)
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_(generator=g)
            m.running_var.uniform_(0.5, 2.0, generator=g)
            m.weight.data.uniform_(-1.0, 1.0, generator=g)
            m.bias.data.normal_(generator=g)
    return model, torch.rand(7, *shape, generator=g, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2, 0])


def folded(model):
    """Return a copy without batch norms, each folded channel by channel into the layer before it."""
    layers = []
    for m in copy.deepcopy(model).eval():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            layer = layers[-1]
            if layer.bias is None:
                layer.bias = nn.Parameter(torch.zeros(len(layer.weight), dtype=torch.float64))
            for c in range(len(layer.weight)):
                factor = m.weight[c].item() / math.sqrt(m.running_var[c].item() + m.eps)
                layer.weight.data[c] *= factor
                layer.bias.data[c] = (layer.bias[c].item() - m.running_mean[c].item()) * factor + m.bias[c].item()
        else:
            layers.append(m)
    return nn.Sequential(*layers).eval()


def norm_by_hand(weight, p):
    total = sum(abs(v) ** p for v in weight.flatten().tolist()) ** (1 / p)
    return total / 100 if p == 1 else total


def loss_by_hand(model, x, y):
    total = 0.0
    for row, label in zip(model(x).tolist(), y.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(v - top) for v in row)) - row[label]
    return total / len(y)


def normalised_twin(model, p=2):
    """Return the network, batch norms folded, with every layer's weights divided by their norm, and the product."""
    twin, rho = folded(model), 1.0
    for layer in twin:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            norm = norm_by_hand(layer.weight, p)
            rho *= norm
            layer.weight.data /= norm
            if layer.bias is not None:  # the bias of layer k is divided by the norms of layers 1 … k
                layer.bias.data /= rho
    return twin, rho


@pytest.mark.parametrize("p", [2, 1, 3])
@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.usefixtures("same_global_rng")
def test_equals_a_network_of_normalised_layers(name, p):
    model, x, y = build(name)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    torch.testing.assert_close(folded(model)(x), copy.deepcopy(model).eval()(x))
    twin, rho = normalised_twin(model, p)
    assert norm_product(model, p=p) == pytest.approx(math.log10(rho), rel=RTOL)
    assert normalized_loss(model, x, y, p=p, batch_size=3) == pytest.approx(loss_by_hand(twin, x, y), rel=RTOL)
    if p == 1:
        assert l1_normalized_loss(model, x, y) == pytest.approx(loss_by_hand(twin, x, y), rel=RTOL)
    assert all(m.training for m in model.modules())
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.usefixtures("same_global_rng")
def test_margins_and_top_outputs_are_those_of_normalised_layers(name):
    model, x, y = build(name)
    rows, labels = normalised_twin(model)[0](x).tolist(), y.tolist()
    centred = [row[label] - sum(row) / len(row) for row, label in zip(rows, labels, strict=True)]
    to_next = [row[k] - max(v for j, v in enumerate(row) if j != k) for row, k in zip(rows, labels, strict=True)]
    top = [max(row) for row in rows]
    mean = sum(top) / len(top)
    assert normalized_margin(model, x, y) == pytest.approx(sum(centred) / len(centred), rel=RTOL)
    assert smallest_margin(model, x, y) == pytest.approx(min(to_next), rel=RTOL)
    assert normalized_top_output(model, x) == pytest.approx(mean, rel=RTOL)
    spread = math.sqrt(sum((v - mean) ** 2 for v in top) / (len(top) - 1))
    assert normalized_top_spread(model, x) == pytest.approx(spread, rel=RTOL)


def test_a_normalised_loss_of_small_outputs_lies_below_that_of_none_by_the_centred_margin():
    model, x, y = build("cnn_bare")
    x = 1e-5 * x  # no biases: outputs are as small
    margin = normalized_margin(model, x, y)
    assert margin != 0
    assert math.log(3) - normalized_loss(model, x, y) == pytest.approx(margin, rel=1e-3)


def test_a_factor_on_the_weights_changes_the_loss_but_not_the_normalised_loss():
    model, x, y = build("cnn_bare")
    first, by_output = normalized_loss(model, x, y), output_normalized_loss(model, x, y)
    model[0].weight.data *= 7
    model[-1].weight.data *= 0.3
    assert normalized_loss(model, x, y) == pytest.approx(first, rel=RTOL)
    assert output_normalized_loss(model, x, y) == pytest.approx(by_output, rel=RTOL)
    assert norm_product(model) == pytest.approx(norm_product(build("cnn_bare")[0]) + math.log10(2.1), rel=RTOL)


@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_the_norm_of_one_output(network, x, y):
    twin = copy.deepcopy(network).eval()
    for reference in (None, x[3]):
        output = twin((x[0] if reference is None else reference)[None])[0].tolist()
        norm = math.sqrt(sum(v * v for v in output))
        expected = loss_by_hand(lambda z, norm=norm: twin(z) / norm, x, y)
        assert output_normalized_loss(network, x, y, reference=reference, batch_size=4) == pytest.approx(
            expected, rel=RTOL
        )


def test_products_beyond_the_range_of_floats():
    layers = []
    for _ in range(60):
        layers += [nn.Linear(4, 4, bias=False), nn.ReLU()]
        nn.init.constant_(layers[-2].weight, 1e6)
    model = nn.Sequential(*layers).double()
    assert norm_product(model) == pytest.approx(60 * math.log10(4e6), rel=RTOL)
    nn.init.zeros_(layers[4].weight)
    x, y = torch.ones(2, 4, dtype=torch.float64), torch.tensor([0, 1])
    assert norm_product(model) == -math.inf
    assert math.isnan(normalized_loss(model, x, y))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "it has a Tanh"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2)), "a batch norm is not behind"),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), "tracks no statistics"),
        (nn.TransformerEncoderLayer(4, 1, 4), "it has a TransformerEncoderLayer"),
        (nn.Sequential(nn.ReLU()), "it has no linear"),
    ],
)
def test_where_the_product_has_no_meaning(model, reason):
    with pytest.raises(InvalidInputError, match=reason):
        norm_product(model)
    with pytest.raises(InvalidInputError, match="p = 0"):
        norm_product(model, p=0)


def test_labels_are_needed():
    model, x, _ = build("fc")
    with pytest.raises(InvalidInputError, match="labels are needed"):
        normalized_loss(model, x)
    with pytest.raises(InvalidInputError, match="labels are needed"):
        output_normalized_loss(model, x)
