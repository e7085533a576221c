"""Dynamical critical length by cosines of gradients instead of their signs (fort2019, eq. 5, 8)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from .critical_length import critical_length


def cosine_critical_length(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return ξ of cosine stiffness: :func:`nas_sens.metrics.critical_length.critical_length` with ``kind="cosine"``.

    Source: fort2019 (arXiv:1901.09491), eq. 5 and 8, section 2.4. Where gradients of one class all agree in sign, as in
    small networks on easy data, sign stiffness is 1 at any distance and has no zero crossing, but their cosines have.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), standardised as the network was trained on.
        y: Labels (n,) of an integer type.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, or fewer than three pairs of one class.
    """
    return critical_length(model, x, y, kind="cosine", generator=generator)


METRIC = Metric(
    function=cosine_critical_length,
    direction="larger",
    source="Fort et al. 2019, arXiv:1901.09491, section 2.4, eq. 5 and 8",
    cost="forward + backward of every input by itself, and n² products of gradients",
    needs_labels=True,
    requirements="classes; at least 3 pairs of inputs of one class; operations that torch.func.vmap takes",
)
