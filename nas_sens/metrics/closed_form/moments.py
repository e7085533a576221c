"""The second moments that the closed form carries from layer to layer.

Symbols (i: input, j: its partner, another input; x'_i = x_i + ε_i; p: position in a feature map; everything is a mean
over channels, and an expectation over the weights and over ε, in the wide-layer limit):

    n, m        number of inputs and of pairs of partners
    z(x)        value of a channel at the current place of the network
    a, b        E z(x_i)²,  E z(x'_i)²                                              (n, *map) each
    d           E (z(x'_i) − z(x_i))² = a + b − 2 c,  c = E z(x_i) z(x'_i)           (n, *map)
    k_st        E z(x_i^s) z(x_j^t), where x^0 = x and x^1 = x'; s, t ∈ {0, 1}        (m, *map) each
    map         () after a linear layer, (H, W) in a convolutional part; the Cartesian product (H, W, H, W) in ``cross``

``d`` is carried by itself, because a + b − 2c loses all its digits for small noise. ``k`` gives the two means over the
input distribution that eq. 2's variance and Var_x f(x) subtract.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...core.errors import InvalidInputError
from .memo import Memo

Array = npt.NDArray[np.float64]

MAX_POSITIONS = 1024  # of a feature map with position-by-position moments: 8 · 1024² numbers = 64 MiB for every input
CROSS_BYTES = 2**28  # position-by-position moments held at a time


class Moments:
    """Second moments at one place of a network; rules build new ones and never alter what they were given.

    Args:
        planes: a, b, k_00, k_01, k_10, k_11, d stacked along the first axis, (3 n + 4 m, *map): what is linear in the
            moments is done once for all. True moments are ``planes * exp(log_scale)``.
        n: Number of inputs.
        m: Number of pairs; the first n - 1 join the inputs q and q + 1, see :func:`pair_indices` for more.
        log_scale: Natural logarithm of the moments' unit: a float, or one per column of a batch.
        n_channels: Channels (features after a linear layer).
        is_flat: Whether the network flattened its map: a linear layer may follow, a convolution may not.
        is_gaussian: Whether channels are i.i.d. zero-mean normal given earlier layers: what activations and the
            read-out require.
        is_input: Whether the channels are still the input's own, each with a value of its own.
        layers: Identities of the weights the value depends on.
        flips: Weights whose common sign flip flips the value's sign, None if there are none.
        cross: Position-by-position moments in the same unit, (same, pair): (2, 2, n, *map, *map) with entries
            E z_p(x_i^s) z_p'(x_i^t), and (2, 2, m, *map, *map) between partners; None where no pool lies downstream.
        pixels: In place of ``cross`` while ``is_input``: the inputs without and with noise, (2, n, C, H, W).
        memo: What other candidates of the batch computed; None outside a batch.
    """

    __slots__ = (
        "cross",
        "flips",
        "is_flat",
        "is_gaussian",
        "is_input",
        "layers",
        "log_scale",
        "m",
        "memo",
        "n",
        "n_channels",
        "pixels",
        "planes",
    )

    def __init__(
        self,
        planes: Array,
        n: int,
        m: int,
        *,
        log_scale: Any = 0.0,
        n_channels: int = 1,
        is_flat: bool = True,
        is_gaussian: bool = False,
        is_input: bool = False,
        layers: frozenset[int] = frozenset(),
        flips: frozenset[int] | None = None,
        cross: tuple[Array, Array] | None = None,
        pixels: Array | None = None,
        memo: Memo | None = None,
    ) -> None:
        self.planes = planes
        self.n = n
        self.m = m
        self.log_scale = log_scale
        self.n_channels = n_channels
        self.is_flat = is_flat
        self.is_gaussian = is_gaussian
        self.is_input = is_input
        self.layers = layers
        self.flips = flips
        self.cross = cross
        self.pixels = pixels
        self.memo = memo

    def replace(self, **changes: Any) -> Moments:
        """Return a copy with some attributes changed; arrays are shared."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in ("planes", "n", "m")}
        planes = changes.pop("planes", self.planes)
        values.update(changes)
        return Moments(planes, self.n, self.m, **values)

    def remembered(self, what: tuple[Hashable, ...], compute: Callable[[], Array]) -> Array:
        """Return new planes, a function of these and ``what``, from the batch's memory if there is one."""
        return compute() if self.memo is None else self.memo.get(self.planes, what, compute)

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the feature map, () without one."""
        return self.planes.shape[1:]

    @property
    def n_covariant(self) -> int:
        """Number of leading planes that hold variances and covariances, to which a bias adds; the rest is d."""
        return 2 * self.n + 4 * self.m

    @property
    def variance(self) -> Array:
        """View of a and b, (2, n, *map)."""
        return self.planes[: 2 * self.n].reshape(2, self.n, *self.map_shape)

    @property
    def pair(self) -> Array:
        """View of k_st, (2, 2, m, *map)."""
        return self.planes[2 * self.n : self.n_covariant].reshape(2, 2, self.m, *self.map_shape)

    @property
    def difference(self) -> Array:
        """View of d, (n, *map)."""
        return self.planes[self.n_covariant :]

    def partners(self, values: Array) -> tuple[Array, Array]:
        """Return the entries of ``values`` (2, n, ...) at both ends of every pair, (2, m, ...) each."""
        left, right = pair_indices(self.n, self.m)
        return values[:, left], values[:, right]


def stack_planes(variance: Array, pair: Array, difference: Array) -> Array:
    """Return planes (3 n + 4 m, *map) from a and b (2, n, *map), k (2, 2, m, *map) and d (n, *map)."""
    tail = difference.shape[1:]
    return np.concatenate([variance.reshape(-1, *tail), pair.reshape(-1, *tail), difference])


@dataclass(frozen=True)
class InputMoments:
    """Inputs with their second moments under noise, computed once and used for any number of candidates.

    Build it with :meth:`from_inputs`.

    Args:
        x: Inputs in float64 and in random order, (n, *input_shape).
        noise_std: Standard deviation σ of the input noise.
        n_pairs: Number of pairs that stand for all pairs of different inputs.
        n_noise: Noise draws for every input, for networks with average pooling only.
        cross_bytes: Memory for position-by-position moments that are held at a time.
    """

    x: Array
    noise_std: float
    n_pairs: int
    n_noise: int
    cross_bytes: int = CROSS_BYTES

    @classmethod
    def from_inputs(
        cls,
        x: torch.Tensor | npt.NDArray[Any],
        noise_std: float = 0.1,
        *,
        n_inputs: int | None = None,
        n_pairs: int | None = None,
        n_noise: int | None = None,
    ) -> InputMoments:
        """Return the moments of ``x``, or of a random part of it.

        The order is drawn anew (always the same way), because partners are neighbours and data sets are often sorted by
        class. S varies little from input to input (a few per cent for σ = 0.1), so that 8–32 inputs are usually
        enough; cost is proportional to their number.

        Args:
            x: Inputs, (n, *input_shape), on any device.
            noise_std: Standard deviation of the input noise, in the units of ``x``.
            n_inputs: Number of inputs to use; None for all.
            n_pairs: Number of pairs of different inputs, at most n (n - 1) / 2; None for n - 1. They serve the second
                term of E_θ[S], which is small for small noise without average pools (2 are then enough), and the
                relative sensitivity. They are most of the cost.
            n_noise: Noise draws for every input, for networks with average pooling only (the others need none); None
                for as many as make 64 noisy inputs.

        Raises:
            InvalidInputError: ``noise_std`` is not positive, there is no input, or an input is not finite.
        """
        if not (noise_std > 0 and math.isfinite(noise_std)):
            raise InvalidInputError(f"noise_std must be positive and finite; given {noise_std}")
        values = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
        if values.ndim < 2 or not values.size:
            raise InvalidInputError(f"inputs must have shape (n, *input_shape) with n >= 1; given {values.shape}")
        if n_inputs is not None and n_inputs < 1:
            raise InvalidInputError(f"n_inputs must be at least 1; given {n_inputs}")
        if n_pairs is not None and n_pairs < 1:
            raise InvalidInputError(f"n_pairs must be at least 1; given {n_pairs}")
        order = np.random.default_rng(0).permutation(len(values))[:n_inputs]
        values = values[order]
        if not np.isfinite(values).all():
            raise InvalidInputError("inputs must be finite, but some are NaN or infinite")
        if n_noise is not None and n_noise < 1:
            raise InvalidInputError(f"n_noise must be at least 1; given {n_noise}")
        n_draws = math.ceil(64 / len(values)) if n_noise is None else n_noise
        return cls(values, float(noise_std), _pairs(len(values), n_pairs), n_draws)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.x.shape[1:]

    @property
    def n(self) -> int:
        """Number of inputs."""
        return len(self.x)

    @cached_property
    def flat(self) -> Moments:
        """Moments of the flattened input: means over all its entries."""
        return self._moments(self.x.reshape(self.n, -1), is_flat=True)

    @cached_property
    def maps(self) -> Moments:
        """Moments of images (n, C, H, W): means over channels for every pixel; of other inputs, over all entries."""
        if self.x.ndim == 4:
            return self._moments(self.x, is_flat=False)
        return self._moments(self.x.reshape(self.n, -1), is_flat=self.x.ndim == 2)

    def with_pixels(self) -> list[Moments]:
        """Return moments of images under noise that is drawn, in parts, for networks with average pooling.

        Patches that overlap share noise. Behind an activation its effect on their product is of the same order in σ as
        d itself, and the inputs' few channels do not average it away, so that its expectation is not enough here.
        Draws come from a fixed seed; the list of inputs is repeated ``n_noise`` times, each time in another order with
        other partners, because behind a pool the second term of E_θ[S] may nearly equal the first.
        """
        rng = np.random.default_rng(1)
        order = np.concatenate([rng.permutation(self.n) for _ in range(self.n_noise)])
        for i in range(self.n, len(order), self.n):
            if order[i] == order[i - 1] and self.n > 1:  # an input is no partner of itself
                order[i], order[i + 1] = order[i + 1], order[i]
        x = self.x[order]
        noisy = x + self.noise_std * rng.standard_normal(x.shape)
        size = max(2, self.cross_bytes // (64 * min(math.prod(x.shape[2:]), MAX_POSITIONS) ** 2))
        n_parts = max(1, min(math.ceil(len(x) / size), len(x) // 2))
        parts = []
        for z in np.array_split(np.stack([x, noisy]), n_parts, axis=1):
            n = z.shape[1]
            m = _pairs(n, None if self.n_pairs >= self.n - 1 else math.ceil(self.n_pairs * n / self.n))
            left, right = pair_indices(n, m)
            pair = np.mean(z[:, None, left] * z[None, :, right], axis=3)
            planes = stack_planes(np.mean(z**2, axis=2), pair, np.mean((z[1] - z[0]) ** 2, axis=1))
            parts.append(Moments(planes, n, m, n_channels=x.shape[1], is_flat=False, is_input=True, pixels=z))
        return parts

    def _moments(self, x: Array, *, is_flat: bool) -> Moments:
        # The noise enters by its expectation: E z(x')² = z(x)² + σ², E z(x_i) z(x'_i) = z(x_i)², and k_st = k_00.
        n, m = self.n, self.n_pairs
        left, right = pair_indices(n, m)
        square = np.mean(x**2, axis=1)
        cross = np.mean(x[left] * x[right], axis=1)
        noise = np.full_like(square, self.noise_std**2)
        planes = stack_planes(np.stack([square, square + noise]), np.stack([[cross] * 2] * 2), noise)
        return Moments(planes, n, m, n_channels=x.shape[1], is_flat=is_flat, is_input=True)


def _pairs(n: int, n_pairs: int | None) -> int:
    return min(max(1, n - 1) if n_pairs is None else n_pairs, max(1, n * (n - 1) // 2))


@lru_cache(maxsize=64)
def pair_indices(n: int, m: int) -> tuple[Any, Any]:
    """Return both ends of ``m`` pairs of ``n`` inputs: neighbours first, then inputs 2, 3, … apart.

    Slices, which need no copy, as long as neighbours are enough. A single input is its own partner: with noises of
    its own, as that is what the variance over ε alone takes.
    """
    if n == 1:
        return slice(0, 1), slice(0, 1)
    if m < n:
        return slice(0, m), slice(1, m + 1)
    pairs = [(i, i + apart) for apart in range(1, n) for i in range(n - apart)][:m]
    left, right = np.array(pairs).T
    return left, right


def renormalised(moments: Moments) -> Moments:
    """Return the same moments in another unit if they come near the limits of float64."""
    peak = float(moments.variance.max())
    if peak == 0 or 1e-100 < peak < 1e100:
        return moments
    return in_unit(moments, moments.log_scale + math.log(peak))


def in_unit(moments: Moments, log_scale: float) -> Moments:
    """Return the same moments in the unit exp(log_scale)."""
    factor = math.exp(min(moments.log_scale - log_scale, 700.0))  # only a dead branch comes near that
    return moments.replace(planes=moments.planes * factor, cross=scaled(moments.cross, factor), log_scale=log_scale)


def scaled(cross: tuple[Array, Array] | None, factor: float) -> tuple[Array, Array] | None:
    """Return position-by-position moments times ``factor``."""
    return None if cross is None else (cross[0] * factor, cross[1] * factor)
