"""Test loss predicted from the sensitivity of a trained network, without labels (forouzesh2020, eq. 9)."""

from __future__ import annotations

import math


def predicted_loss(sensitivity: float, *, n_outputs: int, input_second_moment: float, noise_std: float) -> float:
    """Return L ≈ sqrt(½ · (K−1)/K · S · σ_x²/σ_ε²), the cross-entropy that eq. 9 predicts, in nats.

    The term Σ of eq. 8, from biases, is neglected, as the paper does in its figures; so is the bias of the
    bias–variance split, which the paper takes to be close to the training loss. Meant for networks with a training loss
    near zero and positively homogeneous activations; a crude approximation, not an estimate.

    Args:
        sensitivity: S_θ or its mean over networks.
        n_outputs: K, the number of classes.
        input_second_moment: σ_x², mean square of an input entry, in the units that the network sees.
        noise_std: σ_ε, standard deviation of the input noise that ``sensitivity`` was measured with.
    """
    k = n_outputs
    return math.sqrt(0.5 * (k - 1) / k * sensitivity * input_second_moment / noise_std**2)
