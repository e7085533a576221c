"""Temperature scaling: the one factor on a trained network's logits that calibrates it (forouzesh2020, section VI)."""

from __future__ import annotations

import math

import torch

from ..core.errors import InvalidInputError


def temperature(logits: torch.Tensor, y: torch.Tensor) -> float:
    """Return the T > 0 that minimises the cross-entropy of softmax(logits / T).

    Source: Guo et al., On calibration of modern neural networks, arXiv:1706.04599, section 4.2; forouzesh2020 divides
    outputs by it so that loss and error tell the same story. The loss is convex in β = 1/T: the root of its derivative,
    mean_i Σ_k p_ik z_ik − z_iy, is bracketed and found by Brent's method, in float64. Fit it on validation data: on
    training data that are fitted without error it is 0.

    Args:
        logits: z (n, K).
        y: Classes (n,) of an integer type.

    Returns:
        T; 0 where every input is classified rightly and no temperature is too low; inf where the logits of the classes
        are no larger than the others on average, so that none is too high.

    Raises:
        InvalidInputError: Shapes or types do not fit, there are no inputs, or a logit is not finite.
    """
    if y.is_floating_point() or y.shape != logits.shape[:1] or logits.ndim != 2 or not len(y):
        raise InvalidInputError(
            f"logits (n, K) and integer classes (n,) are needed; given {tuple(logits.shape)} and {y.dtype} "
            f"{tuple(y.shape)}"
        )
    from scipy.optimize import brentq  # takes a second to import, which few commands need

    z, y = logits.detach().cpu().double(), y.cpu()  # every step of the search reads a number
    if not bool(torch.isfinite(z).all()):
        raise InvalidInputError("finite logits are needed; some are inf or nan")
    z = z - z.gather(1, y.long()[:, None])  # of each class against the right one
    scale = float(z.abs().max())
    if scale == 0:
        return 1.0  # all logits are equal: no temperature changes anything

    def slope(beta: float) -> float:
        return float(((z * beta).softmax(dim=1) * z).sum(dim=1).mean())

    if slope(0.0) >= 0:
        return math.inf
    if float(z.max()) <= 0:
        return 0.0  # no other logit is above that of the right class
    upper = 1 / scale
    while slope(upper) < 0:  # ends: as beta grows, the slope tends to the mean of the largest z, which is above 0
        upper *= 2
    return 1 / brentq(slope, 0.0, upper, xtol=upper * 1e-14, rtol=1e-13)
