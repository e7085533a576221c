"""How second moments pass an activation: E φ(u) φ(v) for jointly normal, zero-mean u and v.

    u, v        pre-activations; α = E u², β = E v², k = E uv;  s = √(αβ), cos θ = k / s
    d           E (u − v)²
    τ           unit: true moments are (α, β, k) / τ; only activations that are not homogeneous need it

Rectifiers x ↦ max(x, 0) + r·min(x, 0) (r: slope; 0 is ReLU, -1 the absolute value), from Cho & Saul 2009 (arc-cosine
kernel of order 1), divided by their gain g = (1 + r²)/2 so that variances stay as they are:

    α ← α,  k ← k + h/2 · (s/π)·F(θ),  d ← d − h · (s/π)·F(θ),   F(θ) = sin θ − θ cos θ,  h = 2 (1−r)² / (1+r²)

The second form is exact algebra, and keeps its digits: d ≈ s θ² while F ≈ θ³/3. The angle comes from d itself, by
w = sin²(θ/2) = (d − (√α−√β)²)/(4s). Rounding errors are about 1e-16/θ relative to d.

Erf: Williams 1997, E erf(u) erf(v) = (2/π)·asin(2k / √((1+2α)(1+2β))).
GELU x·Φ(x), by Stein's identity (Tsuchida et al. 2021):
    k·(1/4 + asin(k/√((1+α)(1+β)))/2π) + (αβ − k² + k²/(1+α) + k²/(1+β)) / (2π √Δ),   Δ = (1+α)(1+β) − k².
For these two d is taken from the moments, with rounding errors about 1e-16·α/d relative to d.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .moments import Array, Moments, stack_planes

_TINY = 1e-150  # added to standard deviations, keeps 0/0 of dead inputs at 0


def rectify(moments: Moments, slope: float) -> Moments:
    """Return the moments behind a rectifier of the given negative slope (0: ReLU, 1: identity)."""
    gain = (1 + slope**2) / 2
    h_pi = (1 - slope) ** 2 / gain / math.pi
    planes = moments.remembered(("rectify", slope), lambda: _rectified(moments, h_pi))
    cross = None
    if moments.cross is not None:
        same, other = (k.copy() for k in moments.cross)
        roots = np.sqrt(moments.variance) + _TINY
        left, right = moments.partners(roots)
        _rectify_covariance_(same, np.multiply(*_outer(roots, roots)), h_pi / 2)
        _rectify_covariance_(other, np.multiply(*_outer(left, right)), h_pi / 2)
        cross = (same, other)
    return moments.replace(
        planes=planes, log_scale=moments.log_scale + math.log(gain), is_gaussian=False, flips=None, cross=cross
    )


def _rectified(moments: Moments, h_pi: float) -> Array:
    """Return the planes behind a rectifier; ``h_pi`` is h / π."""
    out = moments.replace(planes=moments.planes.copy())
    difference = out.difference
    roots = np.sqrt(moments.variance) + _TINY
    s = roots[0] * roots[1]
    w = roots[1] - roots[0]  # becomes w of the module's docstring, times 4
    w *= -w
    w += difference
    w /= s
    np.clip(w, 0.0, 4.0, out=w)
    u = np.sqrt(w)  # 2 sin(θ/2)
    f = 1 - w / 4
    np.sqrt(f, out=f)
    f *= u  # sin θ
    w -= 2  # -2 cos θ
    u /= 2
    np.arcsin(u, out=u)
    u *= w
    f += u
    f *= s
    f *= h_pi
    difference -= f
    left, right = moments.partners(roots)
    _rectify_covariance_(out.pair, left[:, None] * right[None], h_pi / 2)
    return out.planes


def _rectify_covariance_(k: Array, s: Array, h_pi: float) -> None:
    rho = k / s
    np.clip(rho, -1.0, 1.0, out=rho)
    f = rho * rho
    np.subtract(1, f, out=f)
    np.sqrt(f, out=f)
    rho *= np.arccos(rho)
    f -= rho
    f *= s
    f *= h_pi
    k += f


def _outer(u: Array, v: Array) -> tuple[Array, Array]:
    """Return u (2, n, *map) and v (2, n, *map) so that they broadcast to (2, 2, n, *map, *map)."""
    return u[:, None, ..., None, None], v[None, :, :, None, None]


Covariance = Callable[[Array, Array, Array, float], Array]


def erf_covariance(u: Array, v: Array, k: Array, tau: float) -> Array:
    """Return E erf(u) erf(v), in true units."""
    return 2 / math.pi * np.arcsin(np.clip(2 * k / np.sqrt((tau + 2 * u) * (tau + 2 * v)), -1.0, 1.0))


def gelu_covariance(u: Array, v: Array, k: Array, tau: float) -> Array:
    """Return E gelu(u) gelu(v), in units of the arguments."""
    u1, v1 = tau + u, tau + v
    square = k * k
    delta = np.maximum(u1 * v1 - square, tau * tau)
    angle = np.arcsin(np.clip(k / np.sqrt(u1 * v1), -1.0, 1.0))
    rest = np.maximum(u * v - square, 0.0) + tau * square * (1 / u1 + 1 / v1)
    return k * (0.25 + angle / (2 * math.pi)) + rest / (2 * math.pi * np.sqrt(delta))


def activate(moments: Moments, covariance: Covariance, *, is_bounded: bool) -> Moments:
    """Return the moments behind an activation given by its covariance function.

    Args:
        moments: Moments of normal pre-activations.
        covariance: Maps α, β, k and τ to E φ(u) φ(v).
        is_bounded: Whether the result is in true units (a bounded activation) rather than in those of the argument.
    """
    tau = math.exp(-min(max(moments.log_scale, -340.0), 340.0))
    variance, difference = moments.variance, moments.difference
    a, b = variance
    c = (a + b - difference) / 2
    new_variance = covariance(variance, variance, variance, tau)
    new_difference = np.maximum(new_variance[0] + new_variance[1] - 2 * covariance(a, b, c, tau), 0.0)
    left, right = moments.partners(variance)
    pair = covariance(left[:, None], right[None], moments.pair, tau)
    cross = None
    if moments.cross is not None:
        same, other = moments.cross
        cross = (
            covariance(*_outer(variance, variance), same, tau),
            covariance(*_outer(left, right), other, tau),
        )
    return moments.replace(
        planes=stack_planes(new_variance, pair, new_difference),
        log_scale=0.0 if is_bounded else moments.log_scale,
        is_gaussian=False,
        flips=None,
        cross=cross,
    )
