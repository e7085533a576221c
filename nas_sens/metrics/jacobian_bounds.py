"""Jacobian norm of single inputs against their loss, with the bounds that relate the two (novak2018, section A.3).

Symbols:

    f, σ    logits and their softmax                                        (n, K)
    J       ∂σ/∂x, J_y its row of the true class                            (n, K, D), (n, D)
    l       −log σ_y, cross-entropy in nats                                 (n,)
    M       E_x ‖∂f/∂x‖_F² / K, mean squared gradient of one logit          scalar

There is no ``METRIC`` record: points are described here, not networks; `jacobian_norm` has the mean of their norms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._network import require_inputs, require_labels
from .jacobian_norm import logit_jacobians


@dataclass(frozen=True)
class JacobianAgainstLoss:
    """What figures 6 and App.11 of the paper plot, point by point; all tensors (n,), float64.

    Attributes:
        losses: l, in nats.
        norms: ‖J‖_F.
        class_norms: ‖J_y‖₂.
        class_lower: Lower bound of ``class_norms``, and so of ``norms``; eq. 5 and 6.
        class_upper: Upper bound of ``class_norms``; eq. 5.
        expected_norms: ‖J‖_F where all wrong classes have equal probability; eq. 7.
        mean_square: M.
    """

    losses: torch.Tensor
    norms: torch.Tensor
    class_norms: torch.Tensor
    class_lower: torch.Tensor
    class_upper: torch.Tensor
    expected_norms: torch.Tensor
    mean_square: float


def jacobian_against_loss(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, *, batch_size: int = 32
) -> JacobianAgainstLoss:
    """Return norm and loss of every input, and the norms that eq. 5–7 expect from the loss alone.

    Source: novak2018 (arXiv:1802.08760), section A.3. The bounds are approximate: they hold exactly where the gradients
    of all logits are orthogonal (eq. 2 has no products of different logits) and of the same norm √M for all inputs. The
    norms themselves are exact but for rounding, also of inputs that are classified with near certainty.
    Evaluation mode. Cost: a forward and K backward passes.

    The paper's exponent 2 on (nσ_y² + n − 2), between eq. 6 and 7, is a slip: eq. 7 follows without it.

    Args:
        model: Maps (n, *input_shape) to logits (n, K), K at least 2.
        x: Inputs (n, *input_shape).
        y: Labels (n,) of an integer type.
        batch_size: Inputs per pass; memory grows with ``batch_size`` · K.

    Raises:
        InvalidInputError: There are no inputs, no labels, labels that are no classes, or fewer than two classes.
    """
    require_inputs(x, 1)
    y = require_labels(x, y)
    if y.is_floating_point() or y.ndim != 1:
        raise InvalidInputError(f"bounds by the loss need integer labels (n,); given {y.dtype} {tuple(y.shape)}")
    lowest, highest = (int(v) for v in y.aminmax())
    losses, norms, class_norms, logit_squares = [], [], [], []
    n_classes = 0
    for (logits, rows), labels in zip(logit_jacobians(model, x, batch_size), y.long().split(batch_size), strict=True):
        n_classes = logits.shape[1]
        if n_classes < 2 or lowest < 0 or highest >= n_classes:
            raise InvalidInputError(
                "logits of at least 2 classes, and labels from 0 to their number less 1, are needed; given "
                f"{n_classes} classes and labels from {lowest} to {highest}"
            )
        sigma = logits.double().softmax(dim=1).T[:, :, None]
        gradients = rows.double()  # (K, b, D)
        # J_i = σ_i (∂f_i − Σ_j σ_j ∂f_j) is the same for gradients less that of one class; less that of the most
        # probable, nothing cancels however near its probability is to 1.
        likely = sigma.argmax(dim=0, keepdim=True).expand(-1, -1, gradients.shape[2])
        relative = gradients - gradients.gather(0, likely)
        jacobian = sigma * (relative - (sigma * relative).sum(dim=0))
        squares = jacobian.square().sum(dim=2)  # (K, b)
        losses.append(_cross_entropies(logits.double(), labels))
        norms.append(squares.sum(dim=0).sqrt())
        class_norms.append(squares.gather(0, labels[None])[0].sqrt())
        logit_squares.append(gradients.square().sum(dim=(0, 2)))
    loss = torch.cat(losses)
    mean_square = float(torch.cat(logit_squares).mean()) / n_classes
    lower, upper = class_bounds(loss, mean_square=mean_square, n_classes=n_classes)
    expected = expected_norm(loss, mean_square=mean_square, n_classes=n_classes)
    return JacobianAgainstLoss(loss, torch.cat(norms), torch.cat(class_norms), lower, upper, expected, mean_square)


def _cross_entropies(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return log(1 + Σ_{j≠y} exp(f_j − f_y)), which is exact for losses near 0, too."""
    others = (logits - logits.gather(1, y[:, None])).scatter(1, y[:, None], -torch.inf).logsumexp(dim=1)
    return torch.logaddexp(others, torch.zeros_like(others))


def class_bounds(losses: torch.Tensor, *, mean_square: float, n_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return √(KM/(K−1)) · e^{−l}(1−e^{−l}) and √(2M) · e^{−l}(1−e^{−l}), eq. 5, for losses l of any shape.

    The first is also the lower bound of the full norm, eq. 6. Neither needs the network: only M and K.
    """
    shape = torch.exp(-losses) * -torch.expm1(-losses)
    return math.sqrt(n_classes * mean_square / (n_classes - 1)) * shape, math.sqrt(2 * mean_square) * shape


def expected_norm(losses: torch.Tensor, *, mean_square: float, n_classes: int) -> torch.Tensor:
    """Return √M/(K−1) · (1−e^{−l}) · √(K² e^{−2l} + K − 2), eq. 7, for losses l of any shape."""
    inner = (n_classes**2 * torch.exp(-2 * losses) + n_classes - 2).sqrt()
    return math.sqrt(mean_square) / (n_classes - 1) * -torch.expm1(-losses) * inner
