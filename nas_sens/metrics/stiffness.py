"""Stiffness: whether a gradient step for one input lowers the loss of another (fort2019, eq. 4-7).

Symbols:

    g_i         gradient of the loss of input i by all parameters
    cos_ij      g_i · g_j / (|g_i| |g_j|), 0 for a gradient of 0        (n, m)
    C(a, b)     mean over pairs of class a and class b                  (classes, classes)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._gradient_gram import gradient_gram
from ._metric import Metric
from ._network import losses, require_inputs, require_labels

Kind = Literal["sign", "cosine"]
KINDS: tuple[Kind, ...] = ("sign", "cosine")

_PASS = 64  # inputs of a forward pass
_SHARED: ContextVar[list[tuple[tuple[Any, ...], torch.Tensor]] | None] = ContextVar("shared cosines", default=None)


@contextmanager
def shared_cosines() -> Iterator[None]:
    """Let measures of one network as it is share :func:`gradient_cosines`: of the same tensors they are computed once.

    The network, inputs and labels must not be altered within.
    """
    token = _SHARED.set([])
    try:
        yield
    finally:
        _SHARED.reset(token)


def stiffness(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    kind: Kind = "sign",
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean over all pairs of different inputs of sign(g_i · g_j), or of cos(g_i, g_j).

    Source: fort2019 (arXiv:1901.09491), eq. 4–5. A stiff network learns from one input about others: both kinds fall to
    0 where over-fitting begins, so that larger is expected to be better. Gradients are by all parameters, in evaluation
    mode; in memory are those of two blocks of inputs at a time.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two; the paper has some 500.
        y: Labels (n,) of an integer type, or targets of the shape of the outputs.
        kind: "sign" or "cosine".
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, or fewer than two inputs.
    """
    values = as_kind(gradient_cosines(model, x, y), kind)
    n = len(values)
    return float((values.sum() - values.diagonal().sum()) / (n * (n - 1)))


def gradient_cosines(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, *, block_size: int | None = None
) -> torch.Tensor:
    """Return cos(g_i, g_j) (n, n), float64, for all pairs of inputs.

    Stiffness within a training set, between it and a validation set and within that (section 2.2) are blocks of the
    matrix of both sets together.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two.
        y: Labels (n,) of an integer type, or targets of the shape of the outputs.
        block_size: Inputs whose gradients are computed at a time; None for what fits into 128 MB.

    Raises:
        InvalidInputError: There are no labels, or fewer than two inputs.
    """
    asked, known = (model, x, y, block_size), _SHARED.get()
    for before, found in known or ():
        if all(a is b for a, b in zip(asked, before, strict=True)):
            return found.clone()
    cosines = _gradient_cosines(*asked)
    if known is not None:
        known.append((asked, cosines.clone()))
    return cosines


def _gradient_cosines(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, block_size: int | None
) -> torch.Tensor:
    require_inputs(x, 2)
    y = require_labels(x, y)
    with evaluation_mode(model), torch.no_grad():
        outputs = torch.cat([model(part) for part in x.split(_PASS)])
    with torch.enable_grad():
        (by_output,) = torch.autograd.grad(losses(outputs.requires_grad_(), y).sum(), outputs)
    # Of a trained network they are so small that products of gradients would underflow; a cosine has no scale.
    sizes = torch.linalg.vector_norm(by_output, dim=1, keepdim=True, dtype=torch.float64)
    vectors = (by_output / torch.where(sizes == 0, 1.0, sizes)).to(x.dtype)
    gram = gradient_gram(model, x, vectors, block_size=block_size)
    norms = gram.diagonal().sqrt()
    products = norms[:, None] * norms[None, :]
    return torch.where(products == 0, 0.0, gram / products).clamp(-1.0, 1.0)


def as_kind(cosines: torch.Tensor, kind: Kind) -> torch.Tensor:
    """Return the cosines themselves or their signs; nan stays nan.

    Raises:
        InvalidInputError: The kind is unknown.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"the kind of stiffness must be 'sign' or 'cosine'; given {kind!r}")
    return torch.where(cosines.isnan(), cosines, cosines.sign()) if kind == "sign" else cosines


@dataclass(frozen=True)
class ClassStiffness:
    """Stiffness by classes.

    Attributes:
        matrix: C(a, b) (classes, classes), eq. 6; nan where there is no pair.
        within: Mean of C(a, a), for classes that have a pair.
        between: Mean of C(a, b) over a ≠ b, eq. 7, for classes that have a pair.
    """

    matrix: torch.Tensor
    within: float
    between: float


def class_stiffness(
    values: torch.Tensor, y_rows: torch.Tensor, y_columns: torch.Tensor | None = None
) -> ClassStiffness:
    """Return the class stiffness matrix and its two summaries (fort2019, eq. 6–7).

    Args:
        values: Sign or cosine of every pair (n, m).
        y_rows: Classes 0, 1, … of the rows (n,).
        y_columns: Classes of the columns (m,) where they are other inputs than the rows; None where they are the same,
            of which none is paired with itself.

    Raises:
        InvalidInputError: Labels are no classes, or do not fit the values.
    """
    same = y_columns is None
    y_columns = y_rows if y_columns is None else y_columns
    if values.shape != (len(y_rows), len(y_columns)) or y_rows.is_floating_point() or y_columns.is_floating_point():
        raise InvalidInputError(
            f"stiffness by classes needs an integer label for every row and column of {tuple(values.shape)}; given "
            f"{len(y_rows)} {y_rows.dtype} and {len(y_columns)} {y_columns.dtype}"
        )
    n_classes = int(max(int(y_rows.max()), int(y_columns.max()))) + 1
    rows, columns = (nn.functional.one_hot(y.long(), n_classes).double() for y in (y_rows, y_columns))
    pairs = torch.ones_like(values, dtype=torch.float64)
    if same:
        pairs.fill_diagonal_(0.0)
    matrix = (rows.T @ (values * pairs) @ columns) / (rows.T @ pairs @ columns)  # 0 / 0 = nan
    diagonal = torch.eye(n_classes, dtype=torch.bool, device=values.device)
    return ClassStiffness(matrix, float(matrix[diagonal].nanmean()), float(matrix[~diagonal].nanmean()))


METRIC = Metric(
    function=stiffness,
    direction="larger",
    source="Fort et al. 2019, arXiv:1901.09491, eq. 4-5",
    cost="forward + backward of every input by itself, and n² products of gradients",
    needs_labels=True,
    requirements="at least 2 inputs; operations that torch.func.vmap takes",
)
