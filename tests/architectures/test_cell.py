"""Cells of NAS-Bench-201: published counts, an evaluator written from the paper, and which cells are the same."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas_sens.architectures import count_flops, count_params, load_spec
from nas_sens.architectures.cell import OPERATIONS, Cell, CellSpec
from nas_sens.architectures.cell_isomorphism import EDGES, is_dead, leads_to_output, normal_form, representative
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError
from nas_sens.scoring.score import Probe, ScoreSpec, score
from nas_sens.study.search_space import load_space

NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS
ALL_CELLS = list(itertools.product(OPERATIONS, repeat=6))

# Parameters in millions as the benchmark publishes them for CIFAR-10.
PUBLISHED = {
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_3x3~2|": 0.587386,
    "|skip_connect~0|+|none~0|avg_pool_3x3~1|+|avg_pool_3x3~0|skip_connect~1|skip_connect~2|": 0.073306,
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_1x1~2|": 0.858426,
    "|none~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_1x1~1|skip_connect~2|": 0.157306,
    "|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|none~2|": 0.559386,
}


def arch(*operations: str) -> str:
    """Return the benchmark's string for six operations."""
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def spec_of(*operations: str, **options: int) -> CellSpec:
    return CellSpec.from_string(arch(*operations), **options)


@pytest.mark.parametrize(("text", "millions"), PUBLISHED.items())
def test_parameters_are_the_published_ones(text, millions):
    assert count_params(CellSpec.from_string(text).skeleton((3, 32, 32), 10)) == round(millions * 1e6)


def test_strings_go_there_and_back():
    for operations in ALL_CELLS[::97]:
        spec = CellSpec.from_string(arch(*operations), channels=4, init="he_normal")
        assert spec.operations == operations
        assert spec.arch_string == arch(*operations)
        assert (spec.channels, spec.init) == (4, "he_normal")
    spec = spec_of(NONE, SKIP, CONV1, CONV3, POOL, SKIP)
    assert [spec.op_1_0, spec.op_2_0, spec.op_2_1, spec.op_3_0, spec.op_3_1, spec.op_3_2] == list(spec.operations)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        arch(NONE, NONE, NONE, NONE, NONE, "max_pool_3x3"),
        arch(*[CONV3] * 6)[:-1],
        arch(*[CONV3] * 6) + "+|none~0|",
        arch(*[CONV3] * 6).replace("~2", "~1"),
        arch(*[CONV3] * 6).replace("+", ""),
    ],
)
def test_strings_of_no_cell_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="must be written like"):
        CellSpec.from_string(wrong)


def test_wrong_options_beside_a_string_are_refused_in_one_line():
    with pytest.raises(InvalidInputError, match="unknown key 'chanels'; did you mean 'channels'"):
        CellSpec.from_string(arch(*[SKIP] * 6), chanels=3)
    with pytest.raises(InvalidInputError, match="channels must be greater than or equal to 1; given 0"):
        CellSpec.from_string(arch(*[SKIP] * 6), channels=0)


def from_the_paper(model: nn.Sequential, text: str, n_cells: int, x: torch.Tensor) -> torch.Tensor:
    """Return the outputs by the paper's description: weights of ``model`` in order, the cell read from its string."""
    weights = iter([m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))])

    def norm(h):
        m = next(weights)
        return F.batch_norm(h, m.running_mean, m.running_var, m.weight, m.bias, training=False, eps=1e-5)

    def conv(h, kernel, stride=1):
        w = next(weights).weight
        assert w.shape[2:] == (kernel, kernel)
        return F.conv2d(h, w, stride=stride, padding=kernel // 2)

    def relu_conv_norm(h, kernel, stride=1):
        return norm(conv(h.clamp(min=0), kernel, stride))

    def operation(name, h):
        if name == NONE:
            return h * 0
        if name == SKIP:
            return h
        if name == POOL:  # the mean over those of the nine neighbours that exist
            ones = torch.ones_like(h[:, :1])
            kernel = torch.ones(1, 1, 3, 3, dtype=h.dtype)
            total = F.conv2d(h.flatten(0, 1)[:, None], kernel, padding=1).view_as(h)
            return total / F.conv2d(ones, kernel, padding=1)
        return relu_conv_norm(h, {CONV1: 1, CONV3: 3}[name])

    h = norm(conv(x, 3))
    for stage in range(3):
        if stage:
            body = relu_conv_norm(relu_conv_norm(h, 3, stride=2), 3)
            pixels = [h[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            h = conv(sum(pixels) / 4, 1) + body
        for _ in range(n_cells):
            nodes = [h]
            for node in text.split("+"):
                terms = [term.split("~") for term in node.strip("|").split("|")]
                nodes.append(sum(operation(name, nodes[int(j)]) for name, j in terms))
            h = nodes[-1]
    h = norm(h).clamp(min=0).mean(dim=(2, 3))
    assert next(weights, None) is None
    return h @ model[-1].weight.T + model[-1].bias


@pytest.mark.parametrize(
    "operations",
    [
        (CONV3, POOL, CONV1, SKIP, CONV3, POOL),
        (POOL, CONV3, SKIP, CONV1, POOL, CONV3),
        (CONV1, NONE, CONV3, NONE, SKIP, CONV1),
        (NONE, CONV3, CONV1, POOL, CONV3, SKIP),  # convolutions of nothing
        (CONV3, CONV1, POOL, SKIP, NONE, NONE),  # edges to nowhere
        (SKIP, SKIP, SKIP, SKIP, SKIP, SKIP),
        (CONV3, CONV3, CONV3, NONE, NONE, NONE),  # dead
    ],
)
def test_the_network_is_the_papers(operations, generator):
    spec = spec_of(*operations, channels=3, cells_per_stage=2)
    model = spec.build((2, 8, 12), 5, generator=generator, dtype=torch.float64).eval()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):  # as after training, so that no norm passes for the identity
            for t in (m.weight.detach(), m.bias.detach(), m.running_mean, m.running_var):
                t.copy_(torch.rand(t.shape, generator=generator, dtype=t.dtype) + 0.5)
    x = torch.randn(3, 2, 8, 12, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(model(x), from_the_paper(model, spec.arch_string, 2, x))


def test_edges_to_nowhere_have_parameters_but_are_not_computed(generator):
    spec = spec_of(CONV3, CONV3, NONE, SKIP, NONE, NONE, channels=2)
    calls = []
    model = spec.build((3, 8, 8), 2, generator=generator)
    for cell in (m for m in model if isinstance(m, Cell)):
        assert count_params(cell) > 0
        for operation in cell.operations.values():
            operation.register_forward_hook(lambda module, *_: calls.append(type(module)))
    model(torch.rand(2, 3, 8, 8, generator=generator))
    assert calls == [nn.Identity] * 15


def test_flops_are_those_by_hand(generator):
    spec = spec_of(CONV1, CONV3, NONE, CONV3, POOL, CONV1, channels=4, cells_per_stage=2)
    expected, side = 2 * 3 * 4 * 9 * 8 * 8, 8
    for stage in range(3):
        n, places = 4 * 2**stage, side**2
        if stage:
            expected += 2 * places * (n // 2 * n * 9 + n * n * 9 + n // 2 * n)
        expected += 2 * 2 * places * n * n * (9 + 9 + 1 + 1)
        side //= 2
    assert count_flops(spec.build((3, 8, 8), 10, generator=generator), (3, 8, 8)) == expected + 2 * 16 * 10


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((64,), "a cell needs inputs of shape"), ((3, 8, 6), "multiples of 4, but they are 8 and 6")],
)
def test_what_does_not_fit_is_infeasible_with_a_reason(shape, reason):
    with pytest.raises(InfeasibleArchitectureError, match=reason):
        spec_of(*[SKIP] * 6).skeleton(shape, 10)


def paths(operations: tuple[str, ...]) -> list[list[tuple[int, int]]]:
    """Return the paths from input to output without ``none``, one of the four possible ones after the other."""
    op = dict(zip(EDGES, operations, strict=True))
    possible = [[(3, 0)], [(1, 0), (3, 1)], [(2, 0), (3, 2)], [(1, 0), (2, 1), (3, 2)]]
    return [path for path in possible if all(op[edge] != NONE for edge in path)]


def test_dead_are_the_cells_without_a_path():
    assert [o for o in ALL_CELLS if is_dead(o)] == [o for o in ALL_CELLS if not paths(o)]
    assert sum(map(is_dead, ALL_CELLS)) == 341


def test_used_are_the_edges_with_a_way_to_the_output():
    for operations in ALL_CELLS[::7]:
        used = dict(zip(EDGES, leads_to_output(operations), strict=True))
        op = dict(zip(EDGES, operations, strict=True))
        for i, j in EDGES:
            ahead = i == 3 or (i == 2 and op[3, 2] != NONE)
            ahead = ahead or (i == 1 and (op[3, 1] != NONE or (op[2, 1] != NONE and op[3, 2] != NONE)))
            assert used[i, j] == (ahead and op[i, j] != NONE), operations


def test_path_counts_are_those_of_all_paths_written_out():
    rng = np.random.default_rng(0)
    for _ in range(200):
        operations = tuple(OPERATIONS[k] for k in rng.integers(0, len(OPERATIONS), len(EDGES)))
        found, named = paths(operations), dict(zip(EDGES, operations, strict=True))
        on_a_path = {edge for path in found for edge in path}
        expected = {f"live_{op}": sum(named[e] == op for e in on_a_path) for op in OPERATIONS if op != "none"}
        expected["n_paths"] = len(found)
        expected["depth_conv"] = max((sum("conv" in named[e] for e in path) for path in found), default=0)
        assert spec_of(*operations).structure(spec_of(*operations).to_dict()) == expected, operations


def test_scoring_says_that_a_dead_cell_is_dead(generator):
    probe = Probe(torch.rand(8, 3, 8, 8, generator=generator), ScoreSpec(seeds=2), seed=0)
    for operations, status in (
        ((CONV3, CONV3, CONV3, NONE, NONE, NONE), "dead"),
        ((NONE,) * 3 + (POOL, NONE, NONE), "ok"),
    ):
        spec = spec_of(*operations, channels=4, cells_per_stage=1)
        assert spec.is_dead == (status == "dead")
        result = score(spec, spec.build((3, 8, 8), 10, generator=generator), probe)
        assert result.status.partition(":")[0] == status


def fingerprints() -> np.ndarray:
    """Return, for every cell, three numbers that depend on the distribution of its function alone.

    Every convolution edge gets, independently, one of two random functions of its kind; pooling is a random linear map.
    The numbers are means of a function of the output over all 2⁶ choices, exact but for rounding.
    """
    rng = np.random.default_rng(0)
    maps = {CONV1: rng.normal(size=(2, 3, 3)), CONV3: rng.normal(size=(2, 3, 3))}
    pool = rng.normal(size=(3, 3)) / 2
    choices = np.array(list(itertools.product(range(2), repeat=6)))
    names = np.array(ALL_CELLS)
    nodes = [np.broadcast_to(rng.normal(size=3), (len(names), 64, 3))]
    for i in range(1, 4):
        nodes.append(np.zeros((len(names), 64, 3)))
        for j in range(i):
            edge = EDGES.index((i, j))
            for name in OPERATIONS[1:]:
                has = names[:, edge] == name
                x = nodes[j][has]
                if name == POOL:
                    x = x @ pool
                elif name != SKIP:  # without biases: nothing of nothing
                    first, second = (np.tanh(x @ matrix) for matrix in maps[name])
                    x = np.where(choices[:, edge, None], second, first)
                nodes[i][has] += x
    return np.stack([np.sin(nodes[3] @ direction).mean(axis=1) for direction in rng.normal(size=(3, 3))], axis=1)


def as_in_the_paper(operations: tuple[str, ...], *, is_none_special: bool) -> str:
    """Return the string by which the benchmark's authors tell cells apart."""
    nodes, names = ["0"], dict(zip(EDGES, operations, strict=True))
    for i in range(1, 4):
        terms = []
        for j in range(i):
            name = names[i, j]
            if is_none_special and (name == NONE or nodes[j] == "#"):
                terms.append("#")
            else:
                terms.append(nodes[j] if name == SKIP else f"({nodes[j]})@{name}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


@pytest.fixture(scope="module")
def forms() -> list[tuple]:
    """The normal form of every cell."""
    return [normal_form(operations) for operations in ALL_CELLS]


def test_cells_are_the_same_where_their_functions_are(forms):
    exact = np.unique(fingerprints().round(9), axis=0, return_inverse=True)[1].ravel().tolist()
    assert len(set(forms)) == len(set(exact)) == len(set(zip(forms, exact, strict=True))) == 5044


def test_the_papers_6466_cells_are_another_count(forms):
    """It counts zeros in sums as summands, and takes two equal convolutions of one input for one convolution."""
    for is_none_special, published in ((True, 6466), (False, 12751)):
        strings = [as_in_the_paper(o, is_none_special=is_none_special) for o in ALL_CELLS]
        assert len(set(strings)) == published
    functions = defaultdict(set)
    for operations, form in zip(ALL_CELLS, forms, strict=True):
        functions[as_in_the_paper(operations, is_none_special=True)].add(form)
    assert sum(len(f) > 1 for f in functions.values()) == 430
    one, two = (CONV3, SKIP, SKIP, NONE, SKIP, SKIP), (CONV3, SKIP, CONV3, NONE, SKIP, SKIP)
    assert normal_form(one) != normal_form(two)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ((CONV3, CONV1, CONV3, SKIP, NONE, NONE), (NONE, NONE, NONE, SKIP, NONE, NONE)),  # convolutions to nowhere
        ((NONE, NONE, CONV3, CONV1, CONV3, CONV1), (NONE, NONE, NONE, CONV1, NONE, NONE)),  # convolutions of nothing
        ((SKIP, NONE, SKIP, NONE, NONE, CONV3), (NONE, NONE, NONE, CONV3, NONE, NONE)),  # a way round
        ((CONV3, CONV3, CONV3, NONE, NONE, NONE), (NONE,) * 6),  # dead
    ],
)
def test_a_representative_has_nothing_that_it_does_not_need(operations, expected):
    assert representative(operations) == expected
    assert spec_of(*operations, channels=3).canonical == spec_of(*expected, channels=3)


def test_representatives_stand_for_themselves_and_their_class():
    for operations in ALL_CELLS[::31]:
        chosen = representative(operations)
        assert normal_form(chosen) == normal_form(operations)
        assert representative(chosen) == chosen
        assert leads_to_output(chosen) == tuple(name != NONE for name in chosen)


def test_no_cell_of_the_class_is_cheaper_than_its_representative(forms):
    classes = defaultdict(list)
    for operations, form in zip(ALL_CELLS, forms, strict=True):
        cost = {NONE: 0, SKIP: 0, POOL: 1, CONV1: 2, CONV3: 3}
        classes[form].append(sum(cost[name] for name in operations))
    for operations, form in zip(ALL_CELLS[::31], forms[::31], strict=True):
        assert sum(cost[name] for name in representative(operations)) == min(classes[form])


def test_pooling_a_sum_is_summing_pools(generator):
    """Node 3 is P(x + Px) here and Px + P(Px) there, which the two networks must show with the same weights."""
    one, two = (
        spec_of(*o, channels=3) for o in ((SKIP, SKIP, POOL, NONE, NONE, POOL), (POOL, NONE, POOL, NONE, SKIP, SKIP))
    )
    assert one != two
    assert one.canonical == two.canonical
    x = torch.rand(4, 3, 8, 8, generator=generator, dtype=torch.float64)
    a, b = (s.build((3, 8, 8), 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64) for s in (one, two))
    torch.testing.assert_close(a.eval()(x), b.eval()(x))


def test_the_bundled_space_is_the_benchmark():
    space = load_space("nasbench201")
    assert space.cardinality == 15_625
    specs = [space.architecture(params) for params in itertools.islice(space.enumerate(), 0, None, 125)]
    assert len({s.arch_string for s in specs}) == 125
    assert {(s.channels, s.cells_per_stage) for s in specs} == {(16, 5)}
    assert all(load_spec(s.to_json()) == s for s in specs[:5])


def test_cells_of_the_space_have_scores_on_a_smaller_network(generator):
    space = load_space("nasbench201")
    probe = Probe(torch.rand(8, 1, 28, 28, generator=generator), ScoreSpec(seeds=1), seed=0)
    for seed in range(6):
        spec = replace(space.sample(seed=seed), channels=4, cells_per_stage=1)
        result = score(spec, spec.build((1, 28, 28), 10, generator=generator), probe)
        assert result.status.partition(":")[0] == ("dead" if spec.is_dead else "ok")
