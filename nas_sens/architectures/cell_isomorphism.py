"""Which cells of NAS-Bench-201 compute the same function, and one representative of each class.

A node's value is a sum of sources, each behind k ≥ 0 average pools, because pooling is linear and ``skip_connect`` is
the identity:  v_i = Σ_s c_{s,k} P^k s.  A source is the cell's input or one convolution edge, which is of a kind (1×1,
3×3) and has an input value of its own. Two cells are equal if renaming their convolution edges makes the output values
equal. A convolution of nothing is nothing, as without biases before training; edges that lead to no output vanish.

Edges are told apart: ``c + c`` with one convolution c is not ``c + c'`` with two. The string form with which
arXiv:2001.00326 counts its 6,466 unique cells does not tell them apart, and does not use that pooling is linear.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

N_NODES = 4
EDGES: tuple[tuple[int, int], ...] = tuple((i, j) for i in range(1, N_NODES) for j in range(i))
"""Edges as (target, source), in the order of the benchmark's strings."""

_INPUT = -1
_KINDS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")  # by cost: 0, 0, 1, 2, 3
Value = Counter[tuple[int, int]]  # (source, number of pools behind it) -> how often


def is_dead(operations: Sequence[str]) -> bool:
    """Return whether no path of operations other than ``none`` leads from node 0 to the last node."""
    reached = {0}
    for (i, j), name in zip(EDGES, operations, strict=True):
        if name != "none" and j in reached:
            reached.add(i)
    return N_NODES - 1 not in reached


def leads_to_output(operations: Sequence[str]) -> tuple[bool, ...]:
    """Return for every edge whether its operation is not ``none`` and the last node depends on it."""
    needed = {N_NODES - 1}
    used = dict.fromkeys(EDGES, False)
    for (i, j), name in reversed(list(zip(EDGES, operations, strict=True))):
        if name != "none" and i in needed:
            used[i, j] = True
            needed.add(j)
    return tuple(used.values())


def representative(operations: Sequence[str]) -> tuple[str, ...]:
    """Return the cheapest cell that computes the same function; it has no useless convolutions.

    The first call takes seconds, in which it visits all cells.
    """
    return _representatives()[normal_form(operations)]


@lru_cache(maxsize=1)
def _representatives() -> dict[Any, tuple[str, ...]]:
    found: dict[Any, tuple[str, ...]] = {}
    cells = itertools.product(range(len(_KINDS)), repeat=len(EDGES))
    for kinds in sorted(cells, key=lambda kinds: (sum(max(0, k - 1) for k in kinds), kinds)):
        cell = tuple(_KINDS[k] for k in kinds)
        found.setdefault(normal_form(cell), cell)
    return found


def normal_form(operations: Sequence[str]) -> tuple[Any, ...]:
    """Return a hashable form that is equal for equal cells and for no others.

    Args:
        operations: Names of the operations in the order of :data:`EDGES`.
    """
    output, kinds, inputs = _values(operations)
    sources = _used(output, inputs)
    return min(_written(order, output, kinds, inputs) for order in _orders(sources, kinds, inputs))


def _values(operations: Sequence[str]) -> tuple[Value, dict[int, str], dict[int, Value]]:
    """Return the value of the last node, and kind and input value of every convolution edge by its number."""
    nodes: list[Value] = [Counter({(_INPUT, 0): 1}), *(Counter() for _ in range(N_NODES - 1))]
    kinds: dict[int, str] = {}
    inputs: dict[int, Value] = {}
    for e, ((i, j), name) in enumerate(zip(EDGES, operations, strict=True)):
        if name == "skip_connect":
            nodes[i].update(nodes[j])
        elif name == "avg_pool_3x3":
            nodes[i].update({(s, k + 1): c for (s, k), c in nodes[j].items()})
        elif name != "none" and nodes[j]:
            kinds[e], inputs[e] = name, nodes[j]
            nodes[i][e, 0] = 1
    return nodes[-1], kinds, inputs


def _used(output: Value, inputs: dict[int, Value]) -> list[int]:
    used: set[int] = set()
    open_values = [output]
    while open_values:
        for s, _ in open_values.pop():
            if s != _INPUT and s not in used:
                used.add(s)
                open_values.append(inputs[s])
    return sorted(used)


def _orders(sources: list[int], kinds: dict[int, str], inputs: dict[int, Value]) -> Iterator[tuple[int, ...]]:
    """Yield the orders of sources that need comparing: those alike when written out as trees, in every order."""
    trees: dict[int, str] = {_INPUT: ""}
    for s in sources:  # edges are numbered from the input to the output
        trees[s] = kinds[s] + str(sorted((trees[t], k, c) for (t, k), c in inputs[s].items()))
    groups = itertools.groupby(sorted(sources, key=trees.__getitem__), key=trees.__getitem__)
    for order in itertools.product(*(itertools.permutations(group) for _, group in groups)):
        yield tuple(itertools.chain(*order))


def _written(order: tuple[int, ...], output: Value, kinds: dict[int, str], inputs: dict[int, Value]) -> tuple[Any, ...]:
    names = {_INPUT: _INPUT, **{s: n for n, s in enumerate(order)}}

    def value(v: Value) -> tuple[tuple[int, int, int], ...]:
        return tuple(sorted((names[s], k, c) for (s, k), c in v.items()))

    return value(output), *((kinds[s], value(inputs[s])) for s in order)
