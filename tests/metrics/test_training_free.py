"""The other measures of the training-free literature, each against a slow twin written from its paper."""

from __future__ import annotations

import copy
import math
import statistics

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics._gradient_gram import gradient_gram
from nas_sens.metrics.fisher import fisher
from nas_sens.metrics.flops import flops
from nas_sens.metrics.grasp import grasp
from nas_sens.metrics.jacob_cov import jacob_cov
from nas_sens.metrics.l2_norm import l2_norm
from nas_sens.metrics.near import effective_rank, near
from nas_sens.metrics.ntk_condition import ntk_condition
from nas_sens.metrics.params import params
from nas_sens.metrics.zen import zen
from nas_sens.metrics.zico import zico

LAYERS = (nn.Linear, nn.Conv2d)
STEP = 1e-6
BOTH = pytest.mark.parametrize("batch_statistics", [True, False])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def twin_of(model, batch_statistics):
    twin = copy.deepcopy(model).eval()
    for m in twin.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.train(batch_statistics)
    return twin.requires_grad_(True)


def weights_of(model):
    return [m.weight for m in model.modules() if isinstance(m, LAYERS)]


def cross_entropies(model, x, y):
    logits = model(x)
    return logits.exp().sum(dim=1).log() - logits[torch.arange(len(y)), y]


# --- what needs no data


@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_counts_and_norms(network, x):
    n = sum(1 for p in network.parameters() if p.requires_grad for _ in p.flatten().tolist())
    assert params(network, x) == n
    squares = [sum(v * v for v in w.flatten().tolist()) for w in weights_of(network)]
    assert l2_norm(network, x) == pytest.approx(sum(math.sqrt(s) for s in squares), rel=1e-12)
    sizes = []  # of every product: outputs times inputs of each
    twin = copy.deepcopy(network).eval()
    for m in twin.modules():
        if isinstance(m, LAYERS):
            m.register_forward_hook(lambda m, _, out: sizes.append(out[0].numel() * m.weight[0].numel()))
    twin(x)
    assert flops(network, x) == 2 * sum(sizes)


def test_flops_need_parameters(x):
    with pytest.raises(InvalidInputError, match="with parameters"):
        flops(nn.Flatten(), x)
    with pytest.raises(InvalidInputError, match="the network has none"):
        l2_norm(nn.Flatten(), x)


# --- GraSP


@BOTH
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_grasp_equals_differences_of_gradients(network, x, y, batch_statistics):
    twin = twin_of(network, batch_statistics)
    weights = weights_of(twin)

    def gradient():
        return torch.autograd.grad(cross_entropies(twin, x, y).mean(), weights)

    g = gradient()
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, direction in zip(weights, g, strict=True):
                w.add_(sign * STEP * direction)
        sides.append(gradient())
        with torch.no_grad():
            for w, direction in zip(weights, g, strict=True):
                w.sub_(sign * STEP * direction)
    product = [(a - b) / (2 * STEP) for a, b in zip(*sides, strict=True)]
    expected = -sum(float((w.detach() * p).sum()) for w, p in zip(weights, product, strict=True))
    assert grasp(network, x, y, batch_statistics=batch_statistics) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_grasp_by_hand():
    # One weight, one input 1, one target 0, squared error: L = w², g = 2w, H = 2, -w·H·g = -4w².
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 3.0)
    x, y = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    assert grasp(model, x, y) == pytest.approx(-36.0, rel=1e-12)


def test_grasp_of_attention():
    class Attention(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x).flatten(1)

    model = nn.Sequential(nn.Linear(8, 8), Attention(), nn.Linear(128, 2))
    x = torch.randn(3, 1, 16, 8, generator=seeded())
    assert math.isfinite(grasp(model, x, torch.tensor([0, 1, 0])))


# --- Fisher


@BOTH
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_fisher_equals_differences_by_a_factor_on_each_channel(network, x, y, batch_statistics):
    twin = twin_of(network, batch_statistics).requires_grad_(False)
    total = 0.0
    for layer in (m for m in twin.modules() if isinstance(m, LAYERS)):
        for channel in range(layer.weight.shape[0]):
            for i in range(len(x)):
                sides = []
                for sign in (1, -1):

                    def scale(module, arguments, output, i=i, channel=channel, sign=sign):
                        output = output.clone()
                        output[i, channel] *= 1 + sign * STEP
                        return output

                    hook = layer.register_forward_hook(scale)
                    sides.append(float(cross_entropies(twin, x, y).sum()))
                    hook.remove()
                total += layer.weight[channel].numel() * ((sides[0] - sides[1]) / (2 * STEP)) ** 2 / (2 * len(x))
    assert fisher(network, x, y, batch_statistics=batch_statistics) == pytest.approx(total, rel=1e-6)


def test_fisher_by_hand_and_behind_an_inplace_activation():
    # a = w·x = -2, then in-place ReLU would leave 0; without it L = a² and Δ = ½ (a · 2a)² = 32.
    x, y = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(layer.weight, -2.0)
    assert fisher(layer, x, y) == pytest.approx(32.0, rel=1e-12)
    # Leaky with slope ½: b = -1, L = b², dL/da = 2b · ½ = -1, Δ = ½ (-2 · -1)² = 2.
    assert fisher(nn.Sequential(layer, nn.LeakyReLU(0.5, inplace=True)), x, y) == pytest.approx(2.0, rel=1e-12)
    # Cut off at -1, where nothing depends on a any more, though b = -1 has a gradient.
    assert fisher(nn.Sequential(layer, nn.Hardtanh(inplace=True)), x, y) == 0.0


def test_fisher_of_tokens_takes_the_last_dimension_for_channels():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(dim=1)

    layer = nn.Linear(2, 3, bias=False).double()
    x = torch.rand(1, 4, 2, generator=seeded(), dtype=torch.float64)
    target = torch.zeros(1, 3, dtype=torch.float64)
    # L = mean over 3 outputs of m_c², m = mean of a over 4 tokens; Σ_t a_tc · (2/3) m_c / 4 = (2/3) m_c².
    m = layer(x).mean(dim=1).detach()
    expected = 2 * float((2 / 3 * m**2).square().sum() / 2)  # two weights a channel
    assert fisher(nn.Sequential(layer, Mean()), x, target) == pytest.approx(expected, rel=1e-12)


# --- Jacobian covariance


@BOTH
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_jacob_cov_equals_the_slow_twin(network, x, batch_statistics):
    twin = twin_of(network, batch_statistics).requires_grad_(False)
    gradients = []
    for i in range(len(x)):
        row = []
        for d in range(x[0].numel()):
            sides = []
            for sign in (1, -1):
                moved = x.clone()
                moved[i].view(-1)[d] += sign * STEP
                sides.append(float(twin(moved).sum()))
            row.append((sides[0] - sides[1]) / (2 * STEP))
        gradients.append(row)
    values = np.linalg.eigvals(np.corrcoef(np.array(gradients))).real
    k = 1e-5
    expected = -np.sum(np.log(values + k) + 1 / (values + k))
    assert jacob_cov(network, x, batch_statistics=batch_statistics) == pytest.approx(expected, rel=1e-3)


def test_jacob_cov_by_hand():
    # Through ReLU, +1 sees gradient (1, 0) and -1 sees (0, -1) of two inputs of two entries; correlation 1: eigenvalues
    # 2 and 0. Of a linear network all gradients are equal: the same.
    layer = nn.Linear(2, 1, bias=False).double()
    layer.weight.data = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    expected = -(math.log(2 + 1e-5) + 1 / (2 + 1e-5) + math.log(1e-5) + 1e5)
    assert jacob_cov(layer, x) == pytest.approx(expected, rel=1e-6)
    nn.init.zeros_(layer.weight)
    assert math.isnan(jacob_cov(layer, x))


# --- ZiCo


@BOTH
@pytest.mark.parametrize("n_batches", [2, 3])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_zico_equals_the_slow_twin(network, x, y, batch_statistics, n_batches):
    twin = twin_of(network, batch_statistics)
    size = len(x) // n_batches
    parts = [slice(i * size, (i + 1) * size) for i in range(n_batches)]
    gradients = [torch.autograd.grad(cross_entropies(twin, x[p], y[p]).mean(), weights_of(twin)) for p in parts]
    expected = 0.0
    for layer in zip(*gradients, strict=True):
        total = 0.0
        for values in zip(*(g.flatten().tolist() for g in layer), strict=True):
            magnitudes = [abs(v) for v in values]
            spread = statistics.pstdev(magnitudes)
            if spread > 0:
                total += statistics.fmean(magnitudes) / spread
        expected += math.log(total) if total > 0 else 0.0
    found = zico(network, x, y, n_batches=n_batches, batch_statistics=batch_statistics)
    assert found == pytest.approx(expected, rel=1e-6)


def test_zico_by_hand():
    # Squared error of w·x with w = 1, targets 0: gradients 2x²; x = 1 and 2 give 2 and 8: mean 5, spread 3.
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    assert zico(model, x, torch.zeros_like(x)) == pytest.approx(math.log(5 / 3), rel=1e-12)
    assert zico(model, x[[0, 0]], torch.zeros_like(x)) == 0.0  # no spread: nothing is known
    with pytest.raises(InvalidInputError, match="n_batches = 3"):
        zico(model, x, torch.zeros_like(x), n_batches=3)


# --- Zen-score


@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_zen_equals_the_slow_twin(network, x):
    twin = twin_of(network, batch_statistics=True).requires_grad_(False)
    shape = (2, 5, *x.shape[1:])
    z, noise = torch.randn(shape, generator=seeded(4), dtype=torch.float64)
    pool = next((m for m in twin if isinstance(m, nn.AdaptiveAvgPool2d)), None)
    kept, norms = [], []
    (twin[-1] if pool is None else pool).register_forward_hook(lambda _, given, __: kept.append(given[0].flatten(1)))
    for m in twin.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.register_forward_hook(lambda _, given, __: norms.append(given[0].clone()))
    twin(z)
    first_norms = list(norms)
    twin(z + 0.01 * noise)
    distances = [math.dist(a, b) for a, b in zip(kept[0].tolist(), kept[1].tolist(), strict=True)]
    expected = math.log(statistics.fmean(distances))
    for given in first_norms:
        channels = [given[:, c].flatten().tolist() for c in range(given.shape[1])]
        expected += math.log(math.sqrt(statistics.fmean(map(statistics.pvariance, channels))))
    assert zen(network, x, batch_size=5, generator=seeded(4)) == pytest.approx(expected, rel=1e-9)


def test_zen_of_a_linear_map_grows_by_the_log_of_its_weights_even_behind_a_batch_norm():
    x = torch.zeros(1, 3)
    scores = []
    for scale in (1.0, 10.0):
        model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, eps=1e-12), nn.ReLU(), nn.Linear(4, 2))
        nn.init.normal_(model[0].weight, generator=seeded())
        model[0].weight.data *= scale
        scores.append(zen(model, x, generator=seeded()))
    assert scores[1] - scores[0] == pytest.approx(math.log(10), rel=1e-4)
    with pytest.raises(InvalidInputError, match="the network calls none"):
        zen(nn.ReLU(), x, generator=seeded())


def test_zen_of_norms_without_running_statistics_and_called_twice(x):
    class Twice(nn.Module):
        def __init__(self, track):
            super().__init__()
            self.norm = nn.BatchNorm2d(2, track_running_stats=track)
            self.head = nn.Linear(32, 3)

        def forward(self, x):
            return self.head(self.norm(3 * self.norm(x)).flatten(1))

    scores = []
    for track in (True, False):
        model = Twice(track).double().requires_grad_(False)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        scores.append(zen(model, x, generator=seeded(2)))
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert model.norm.momentum == 0.1
        assert model.norm.track_running_stats == track
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)
    z, _ = torch.randn((2, 16, *x.shape[1:]), generator=seeded(2), dtype=torch.float64)
    first = z.movedim(1, 0).flatten(1).var(dim=1, correction=0)
    model.train()
    second = (3 * model.norm(z)).movedim(1, 0).flatten(1).var(dim=1, correction=0)
    without = copy.deepcopy(model)
    features = []
    without.head.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    noise = torch.randn((2, 16, *x.shape[1:]), generator=seeded(2), dtype=torch.float64)[1]
    without(z)
    without(z + 0.01 * noise)
    expected = (features[1] - features[0]).norm(dim=1).mean().log() + (first.mean().log() + second.mean().log()) / 2
    assert scores[1] == pytest.approx(float(expected), rel=1e-9)


# --- NEAR


def rank_by_hand(rows):
    s = np.linalg.svd(np.array(rows), compute_uv=False)
    p = [v / s.sum() for v in s if v > 0]
    return math.exp(-sum(v * math.log(v) for v in p))


def test_effective_rank():
    assert float(effective_rank(torch.eye(4))) == pytest.approx(4.0)
    assert float(effective_rank(torch.ones(4, 3))) == pytest.approx(1.0, rel=1e-5)
    assert float(effective_rank(torch.zeros(4, 3))) == 0.0
    assert float(effective_rank(torch.diag(torch.tensor([3.0, 1.0])))) == pytest.approx(4 / 3**0.75)


@BOTH
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_near_is_the_sum_of_ranks_of_blocks_of_all_layers(network, x, batch_statistics):
    twin = twin_of(network, batch_statistics).requires_grad_(False)
    layers = []  # for every layer, the ranks of all blocks that may be chosen

    def collect(module, given, output):
        if output.ndim == 4:
            n, c, h, w = output.shape
            rows = [[output[i, k, a, b].item() for k in range(c)] for i in range(n) for b in range(w) for a in range(h)]
            starts = range(0, max(1, len(rows) - c + 1), h)
        else:
            rows, c = output.tolist(), output.shape[1]
            starts = range(0, max(1, len(rows) - c + 1), c)
        layers.append([rank_by_hand(rows[s : s + c]) for s in starts])

    for m in twin.modules():
        if isinstance(m, (*LAYERS, nn.modules.batchnorm._BatchNorm, nn.ReLU)):
            m.register_forward_hook(collect)
    twin(x)
    seen = set()
    for seed in range(5):
        score = near(network, x, batch_statistics=batch_statistics, generator=seeded(seed))
        drawn = seeded(seed)
        picks = [int(torch.randint(len(r), (), generator=drawn)) if len(r) > 1 else 0 for r in layers]
        assert score == pytest.approx(sum(r[i] for r, i in zip(layers, picks, strict=True)), rel=1e-6)
        seen.add(score)
    assert len(seen) > 1 or all(len(r) == 1 for r in layers)


def test_near_needs_modules(x):
    with pytest.raises(InvalidInputError, match="the network calls none"):
        near(nn.Flatten(), x)


# --- neural tangent kernel


def slow_gram(model, x):
    twin = twin_of(model, batch_statistics=False)
    rows = []
    for one in x:
        gradient = torch.autograd.grad(twin(one[None]).sum(), list(twin.parameters()), materialize_grads=True)
        rows.append([v for g in gradient for v in g.flatten().tolist()])
    return np.array([[math.fsum(a * b for a, b in zip(r, s, strict=True)) for s in rows] for r in rows])


@pytest.mark.parametrize("block_size", [1, 4, 6, None])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_gram_and_condition_number_equal_the_slow_twin(network, x, block_size):
    expected = slow_gram(network, x)
    gram = gradient_gram(network, x, x.new_ones(len(x), 3), block_size=block_size)
    np.testing.assert_allclose(gram.numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert torch.equal(gram, gram.T)
    assert ntk_condition(network, x) == pytest.approx(np.linalg.cond(expected), rel=1e-6)


def test_condition_number_by_hand():
    layer = nn.Linear(2, 1, bias=False).double()
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    assert ntk_condition(layer, x) == pytest.approx(9.0, rel=1e-12)
    assert ntk_condition(layer, torch.cat([x, x])) == math.inf
    for seed in range(6):  # rounding gives the fourth eigenvalue either sign
        x = torch.rand(4, 3, generator=seeded(seed), dtype=torch.float64)
        assert ntk_condition(nn.Linear(3, 1, bias=False).double(), x) == math.inf
