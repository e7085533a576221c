"""Parameters near others: a few of them changed, or those of two mixed. Pure functions of a space and a random stream.

A number moves by a step on its own scale, the logarithm where it is declared so; a choice becomes another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from .distributions import FAMILY, n_values
from .search_space import SearchSpace

Params = dict[str, Any]
_CROSSED = 1 / 3  # share of the children of two parents, where there are two of a family
_CHANGED = 0.15  # share of the parameters that a mutation changes, one at least
_OTHER_FAMILY = 0.05  # share of mutations that leave the family of a union
_FRESH = 0.25  # share of changed numbers that are drawn from their whole range
_STEP = 0.15  # standard deviation of the steps of the others, as share of their range


def near(space: SearchSpace, parents: Sequence[Params], rng: np.random.Generator, *, reach: float = 1.0) -> Params:
    """Return the parameters of a child of one or two of the parents, of which there must be one.

    Args:
        space: Where they are from.
        parents: Parameters of trials in the space.
        rng: Source of chance.
        reach: How far numbers move, as share of what they do by default, in (0, 1].
    """
    one = parents[int(rng.integers(len(parents)))]
    mates = [p for p in parents if p is not one and space.family_of(p) == space.family_of(one)]
    if mates and rng.random() < _CROSSED:
        return crossed(space, one, mates[int(rng.integers(len(mates)))], rng)
    return mutated(space, one, rng, reach=reach)


def anywhere(space: SearchSpace, rng: np.random.Generator) -> Params:
    """Return random parameters from the whole space."""
    return space.draw(RandomSampler(seed=int(rng.integers(2**32))))


def mutated(space: SearchSpace, params: Params, rng: np.random.Generator, *, reach: float = 1.0) -> Params:
    """Return parameters of which some differ from the given ones, at least one wherever the space has another.

    In a union of families the family changes now and then; its parameters are drawn anew then.
    """
    names = [k for k, d in space.trial_distributions(params).items() if k != FAMILY and not d.single()]
    is_union = space.family_distribution is not None
    if is_union and (not names or rng.random() < _OTHER_FAMILY):
        return _of_another_family(space, params, rng)
    if not names:
        return dict(params)
    is_changed = rng.random(len(names)) < max(_CHANGED, 1 / len(names))
    is_changed[rng.integers(len(names))] |= not is_changed.any()
    distributions = space.trial_distributions(params)
    changed = {
        k: another(distributions[k], params[k], rng, reach=reach) for k, c in zip(names, is_changed, strict=True) if c
    }
    return {**params, **changed}


def crossed(space: SearchSpace, one: Params, other: Params, rng: np.random.Generator) -> Params:
    """Return parameters of which each is that of one of two parents of one family, and some are of each.

    Where the parents differ in fewer than two of them there is no such child: the first one is mutated.
    """
    differing = [k for k in space.trial_distributions(one) if one[k] != other[k]]
    if len(differing) < 2:
        return mutated(space, one, rng)
    of_other = rng.random(len(differing)) < 0.5
    if of_other.all() or not of_other.any():
        of_other[rng.integers(len(differing))] ^= True
    return {**one, **{k: other[k] for k, o in zip(differing, of_other, strict=True) if o}}


def another(distribution: BaseDistribution, value: Any, rng: np.random.Generator, *, reach: float = 1.0) -> Any:
    """Return another value of a distribution that has more than one; numbers near the given one are likelier."""
    if isinstance(distribution, CategoricalDistribution):
        others = [c for c in distribution.choices if c != value]
        return others[int(rng.integers(len(others)))]
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    is_fresh = rng.random() < _FRESH * reach
    place = rng.random() if is_fresh else _folded(place_of(distribution, value) + rng.normal(0, _STEP * reach))
    found = value_at(distribution, place)
    return found if found != value else _beside(distribution, value, is_up=bool(rng.random() < 0.5))


def place_of(distribution: IntDistribution | FloatDistribution, value: float) -> float:
    """Return where a value lies in the range of its distribution, on its scale, in [0, 1]."""
    low, high = _ends(distribution)
    if distribution.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def value_at(distribution: IntDistribution | FloatDistribution, place: float) -> int | float:
    """Return the value of a distribution at a place in [0, 1] of its range: uniform places are uniform values."""
    low, high = _ends(distribution)
    if distribution.log:
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    if n_values(distribution) is None:
        return min(max(value, distribution.low), distribution.high)
    return _on_grid(distribution, round((value - distribution.low) / _step(distribution)))


def _of_another_family(space: SearchSpace, params: Params, rng: np.random.Generator) -> Params:
    assert space.family_distribution is not None
    family = another(space.family_distribution, params[FAMILY], rng)
    drawn = anywhere_in(space.distributions(family), rng)
    child: Mapping[str, Any] = {FAMILY: family, **drawn, **{k: params[k] for k in space.training_distributions}}
    return {k: child[k] for k in space.trial_distributions(child)}


def anywhere_in(distributions: Mapping[str, BaseDistribution], rng: np.random.Generator) -> Params:
    """Return a random value of each distribution."""
    sampler, nobody = RandomSampler(seed=int(rng.integers(2**32))), None
    draw: Any = sampler.sample_independent  # looks at neither study nor trial
    return {k: draw(nobody, nobody, k, d) for k, d in distributions.items()}


def _ends(distribution: IntDistribution | FloatDistribution) -> tuple[float, float]:
    """Return the ends of the range; of a grid half a step beyond its last values, so that these are as likely."""
    if n_values(distribution) is None:
        return distribution.low, distribution.high
    half = _step(distribution) / 2
    return distribution.low - half, distribution.high + half


def _step(distribution: IntDistribution | FloatDistribution) -> float:
    return 1 if distribution.step is None else distribution.step


def _on_grid(distribution: IntDistribution | FloatDistribution, i: int) -> int | float:
    """Return value number ``i`` of a grid, or that of its nearer end, as `iterate_values` has it."""
    last = (n_values(distribution) or 1) - 1
    i = min(max(i, 0), last)
    value = distribution.low + i * _step(distribution)
    return distribution.high if i == last and math.isclose(value, distribution.high) else value


def _beside(distribution: IntDistribution | FloatDistribution, value: float, *, is_up: bool) -> int | float:
    """Return the next value above or below, on the other side where there is none."""
    if n_values(distribution) is None:
        end = distribution.high if value == distribution.low or (is_up and value < distribution.high) else None
        return math.nextafter(value, distribution.low if end is None else end)
    if isinstance(distribution, IntDistribution):
        i = (int(value) - distribution.low) // distribution.step
    else:
        i = round((value - distribution.low) / _step(distribution))
    found = _on_grid(distribution, i + (1 if is_up else -1))
    return found if found != value else _on_grid(distribution, i + (-1 if is_up else 1))


def _folded(place: float) -> float:
    """Return a place that was stepped to, reflected at the ends of [0, 1]."""
    place = abs(place) % 2
    return 2 - place if place > 1 else place
