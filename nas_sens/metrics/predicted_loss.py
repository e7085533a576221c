"""Test loss predicted from a trained network's sensitivity, without labels (forouzesh2020, eq. 9 and 7)."""

from __future__ import annotations

import math


def predicted_loss(sensitivity: float, *, n_outputs: int, input_second_moment: float, noise_std: float) -> float:
    """Return L ≈ sqrt(½ · (K−1)/K · S · σ_x²/σ_ε²), the cross-entropy that eq. 9 predicts, in nats.

    The term Σ of eq. 8, from biases (:func:`nas_sens.metrics.bias_term.bias_term`), is neglected, as in the paper's
    figures; so is the bias of the bias–variance split, which the paper takes to be close to the training loss. Meant
    for networks with a training loss near zero and positively homogeneous activations; a crude approximation, not an
    estimate.

    Args:
        sensitivity: S_θ or its mean over networks.
        n_outputs: K, the number of classes.
        input_second_moment: σ_x², mean square of an input entry, in the units that the network sees.
        noise_std: σ_ε, standard deviation of the input noise that ``sensitivity`` was measured with.
    """
    k = n_outputs
    return math.sqrt(0.5 * (k - 1) / k * sensitivity * input_second_moment / noise_std**2)


def predicted_mse(sensitivity: float, *, input_second_moment: float, noise_std: float) -> float:
    """Return L_MSE ≈ S · σ_x²/σ_ε², the mean squared error of a regression with one output, in squared target units.

    It is eq. 7, ε_variance ≈ (K-1)/K · (S · σ_x²/σ_ε² + Σ), without its factor (K-1)/K, which comes from the softmax
    that a regression has not (for K = 1 it would be 0): a positively homogeneous network with random weights of mean 0
    and no biases has Var_θ f(x) = S · |x|²/(D σ_ε²), whose mean over x this is. As in `predicted_loss`, Σ and the bias
    are neglected. The paper compares S with L_MSE (section V-E) but not this number: cruder still than eq. 9, as
    trained weights are far from having mean 0 where targets have not. It says more of order than of size.

    Args:
        sensitivity: S_θ or its mean over networks.
        input_second_moment: σ_x², mean square of an input entry, in the units that the network sees.
        noise_std: σ_ε, standard deviation of the input noise that ``sensitivity`` was measured with.
    """
    return sensitivity * input_second_moment / noise_std**2
