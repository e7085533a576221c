"""How the paths through a cell of NAS-Bench-201 look: what a predictor can know of a cell without its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .cell_isomorphism import EDGES, N_NODES


def path_counts(operations: Sequence[str]) -> dict[str, float]:
    """Return numbers of the paths from a cell's input to its output.

    Args:
        operations: Names of the operations in the order of :data:`~.cell_isomorphism.EDGES`.

    Returns:
        ``live_NAME`` for every operation but ``none``: edges with it that lie on a path; ``depth_conv``: the most
        convolutions on one path; ``n_paths``: how many paths there are.
    """
    named = list(zip(EDGES, operations, strict=True))
    there = [(i, j, op) for (i, j), op in named if op != "none"]
    ways_to, ways_from = [1] + [0] * (N_NODES - 1), [0] * (N_NODES - 1) + [1]
    depth = [0.0] + [-math.inf] * (N_NODES - 1)
    for i, j, op in there:
        ways_to[i] += ways_to[j]
        depth[i] = max(depth[i], depth[j] + op.startswith("nor_conv"))
    for i, j, _ in reversed(there):
        ways_from[j] += ways_from[i]
    live = [op for i, j, op in there if ways_to[j] and ways_from[i]]
    kinds = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    counts = {f"live_{kind}": float(live.count(kind)) for kind in kinds}
    return {**counts, "depth_conv": max(depth[-1], 0.0), "n_paths": float(ways_to[-1])}
