"""What `calibrated` is compared with in search_quality.py: samplers of Optuna, evolution, models on encodings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from quality_tables import Table, World
from scipy.spatial.distance import cdist

from nas_sens.selection import Candidate
from nas_sens.selection.acquisition import expected_improvement
from nas_sens.selection.places import Places, Scale, place, scale_of

N_START = 5  # random trainings before a model is fitted
POPULATION, SAMPLE = 10, 5
_PARENTS, _RANDOM_EVERY, _TRIES = 5, 2, 64
_CHANGED = 0.15


_KEPT: dict[str, tuple[Scale, Places]] = {}


def _scaled(table: Table) -> tuple[Scale, Places]:
    """Return the scale of all of a table, and where its candidates stand on it."""
    if table.name not in _KEPT:
        scale = scale_of(table.candidates)
        _KEPT[table.name] = scale, place(table.candidates, scale)
    return _KEPT[table.name]


def choices_of(places: Places) -> np.ndarray:
    """Return what was chosen, with the family, shape (n, q)."""
    return np.hstack([places.choices, np.eye(int(places.groups.max()) + 1)[places.groups]])


def encoding(table: Table) -> np.ndarray:
    """Return what was chosen, one row a candidate, shape (n, q)."""
    return choices_of(_scaled(table)[1])


def features(table: Table) -> np.ndarray:
    """Return all that ours sees, one row a candidate, shape (n, p + q)."""
    places = _scaled(table)[1]
    return np.hstack([places.x, choices_of(places)])


def grown(
    table: Table, trained: Sequence[int], pool: Mapping[int, None], rng: np.random.Generator, n: int
) -> list[int]:
    """Return up to ``n`` candidates of a whole space that are not in the pool: children of the best, some random.

    As `pipeline.growth` proposes them, for spaces of words alone.
    """
    by_choices = _by_choices(table)
    parents = [table.candidates[i].choices for i in sorted(trained, key=lambda i: table.losses[i])[:_PARENTS]]
    kinds = {k: sorted({c.choices[k] for c in table.candidates}) for k in table.candidates[0].choices}
    found: dict[int, None] = {}
    for i in range(n):
        for _ in range(_TRIES):
            child = dict(parents[int(rng.integers(len(parents)))])
            if i % _RANDOM_EVERY == _RANDOM_EVERY - 1:
                child = {k: words[int(rng.integers(len(words)))] for k, words in kinds.items()}
            elif rng.random() < 1 / 3:
                mate = parents[int(rng.integers(len(parents)))]
                child = {k: mate[k] if rng.random() < 0.5 else v for k, v in child.items()}
            else:
                _mutate(child, kinds, rng)
            number = by_choices[tuple(child.values())]
            if number not in pool and number not in found:
                found[number] = None
                break
    return list(found)


def _mutate(child: dict[str, Any], kinds: Mapping[str, Sequence[Any]], rng: np.random.Generator) -> None:
    is_changed = rng.random(len(child)) < max(_CHANGED, 1 / len(child))
    is_changed[rng.integers(len(child))] = True
    for k, changes in zip(list(child), is_changed, strict=True):
        if changes:
            others = [word for word in kinds[k] if word != child[k]]
            child[k] = others[int(rng.integers(len(others)))]


_INDEX: dict[str, dict[tuple[Any, ...], int]] = {}


def _by_choices(table: Table) -> dict[tuple[Any, ...], int]:
    if table.name not in _INDEX:
        _INDEX[table.name] = {tuple(c.choices.values()): i for i, c in enumerate(table.candidates)}
    return _INDEX[table.name]


class Nearest:
    """The candidate within reach that is nearest to what a rival proposes, and was not trained yet."""

    def __init__(self, world: World) -> None:
        self.numbers = world.reach
        self.points = encoding(world.table)[self.numbers]
        self.is_left = np.ones(len(self.numbers), dtype=bool)

    def take(self, point: np.ndarray) -> int:
        distances = np.where(self.is_left, ((self.points - point) ** 2).sum(axis=1), np.inf)
        place_of_it = int(np.argmin(distances))
        self.is_left[place_of_it] = False
        return int(self.numbers[place_of_it])


def random(world: World, most: int) -> list[int]:
    """Return random candidates."""
    return np.random.default_rng(world.seed + 1).permutation(world.pool)[:most].tolist()


def by_optuna(world: World, most: int, *, sampler: str) -> list[int]:
    """Return what one of Optuna's samplers asks for; on samples of a space the nearest that is there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = world.seed % 2**31
    made = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    }[sampler]()
    study = optuna.create_study(sampler=made)
    nearest, space = Nearest(world), space_of(world.table)
    defaults = {k: d.choices[0] if isinstance(d, CategoricalDistribution) else d.low for k, d in space.items()}
    trained: list[int] = []
    while len(trained) < most:
        trial = study.ask(space)
        number = nearest.take(_point(world.table, trial.params))
        trained.append(number)
        study.add_trial(
            optuna.trial.create_trial(
                params=_params(world.table, number, defaults),
                distributions=space,
                value=float(world.table.losses[number]),
            )
        )
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return trained


def space_of(table: Table) -> dict[str, BaseDistribution]:
    """Return the choices that vary: numbers between the smallest and the largest that are there, and words."""
    kinds: dict[str, set[Any]] = {}
    for c in table.candidates:
        for k, v in {**c.choices, "family": c.family}.items():
            kinds.setdefault(k, set()).add(v)
    space: dict[str, BaseDistribution] = {}
    for k, values in sorted(kinds.items()):
        is_number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        if len(values) > 1 and is_number:
            space[k] = optuna.distributions.FloatDistribution(float(min(values)), float(max(values)))
        elif len(values) > 1:
            space[k] = CategoricalDistribution(sorted(values, key=repr))
    return space


def _params(table: Table, number: int, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate's parameters; those of another family are what they are by default."""
    c = table.candidates[number]
    given = {**c.choices, "family": c.family}
    return {k: given.get(k, value) for k, value in defaults.items()}


def _point(table: Table, params: Mapping[str, Any]) -> np.ndarray:
    """Return where parameters lie among the encodings; parameters of other families do not count."""
    scale, places = _scaled(table)
    family = str(params.get("family", table.candidates[0].family))
    like = next(c for c in table.candidates if c.family == family)
    made = place([Candidate("", {}, family, {k: params.get(k, v) for k, v in like.choices.items()})], scale)
    return np.hstack([made.choices[0], np.eye(int(places.groups.max()) + 1)[made.groups[0]]])


def evolution(world: World, most: int) -> list[int]:
    """Return what regularised evolution trains (Real et al. 2019): the child is the nearest to a mutated parent."""
    rng = np.random.default_rng(world.seed + 2)
    nearest = Nearest(world)
    points = encoding(world.table)
    trained: list[int] = []
    while len(trained) < most:
        if len(trained) < POPULATION:
            number = int(rng.choice(nearest.numbers[nearest.is_left]))
            nearest.is_left[np.flatnonzero(nearest.numbers == number)] = False
            trained.append(number)
            continue
        sample = rng.choice(trained[-POPULATION:], SAMPLE, replace=False)
        parent = min(sample, key=lambda i: world.table.losses[i])
        donor = int(rng.choice(nearest.numbers))
        is_changed = rng.random(points.shape[1]) < max(_CHANGED, 1 / points.shape[1])
        is_changed[rng.integers(points.shape[1])] = True
        trained.append(nearest.take(np.where(is_changed, points[donor], points[parent])))
    return trained


def by_model(world: World, most: int, *, kind: str) -> list[int]:
    """Return what a model of the encoding with expected improvement trains, one at a time."""
    rng = np.random.default_rng(world.seed + 3)
    numbers = world.reach if len(world.reach) <= 1000 else np.union1d(world.pool, rng.choice(world.reach, 700))
    x, y = encoding(world.table)[numbers], world.table.losses[numbers]
    trained = rng.choice(len(numbers), N_START, replace=False).tolist()
    while len(trained) < most:
        known = (y[trained] - y[trained].mean()) / (y[trained].std() or 1.0)
        mean, sd = predicted(kind, x[trained], known, x, seed=int(rng.integers(2**31)))
        gain = expected_improvement(mean, sd, known.min()) + 1e-12 * rng.random(len(mean))
        gain[trained] = -1.0
        trained.append(int(np.argmax(gain)))
    return numbers[trained][:most].tolist()


def predicted(kind: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a model of scikit-learn's expects of new points, and its standard deviations."""
    if kind == "botorch":
        return _by_botorch(x, y, new)
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if kind == "forest":
        forest = RandomForestRegressor(50, random_state=seed, n_jobs=1).fit(x, y)
        each = np.array([tree.predict(new) for tree in forest.estimators_])
        return each.mean(axis=0), each.std(axis=0)
    scale = float(np.median(cdist(new[:200], new[:200]))) or 1.0
    prior = ConstantKernel(1.0) * Matern(scale, (scale / 10, scale * 10), nu=2.5) + WhiteKernel(0.1)
    mean, sd = GaussianProcessRegressor(prior, random_state=0).fit(x, y).predict(new, return_std=True)
    return mean, sd


def _by_botorch(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what BoTorch's Gaussian process expects, with its own kernel and prior of length scales."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    low, high = new.min(axis=0), new.max(axis=0)
    unit = [torch.from_numpy((part - low) / np.where(high > low, high - low, 1.0)) for part in (x, new)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hard fits, which it tries again, and of scales
        model = SingleTaskGP(unit[0], torch.from_numpy(y)[:, None], outcome_transform=None)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            posterior = model.posterior(unit[1])
    return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()


RIVALS: Mapping[str, Callable[[World, int], list[int]]] = {
    "random": random,
    **{name: lambda w, n, s=name: by_optuna(w, n, sampler=s) for name in ("tpe", "gp", "cmaes")},  # type: ignore[misc]
    "evolution": evolution,
    **{
        f"{kind}_encoding": lambda w, n, k=kind: by_model(w, n, kind=k)  # type: ignore[misc]
        for kind in ("forest", "gp", "botorch")
    },
}
# Those that take seconds a search have fewer repeats and trainings.
MOST_SLOW = 40
SLOW = ("gp", "forest_encoding", "gp_encoding", "botorch_encoding")


def installed() -> list[str]:
    """Return the names of the rivals whose libraries are there; BoTorch is no dependency."""
    return [name for name in RIVALS if name != "botorch_encoding" or find_spec("botorch") is not None]


def run(world: World, most: int, *, name: str) -> list[int]:
    """Return what a rival trains, in order."""
    return RIVALS[name](world, most)
