"""Refine: the best networks of a study, trained on as a study of their own, with fresh seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..core.candidates import TrainedCandidate
from ..core.declarations import changed, nearest
from ..core.errors import InvalidInputError
from ..core.identity import canonical_json, derive_seed
from ..core.messages import shown
from ..results.search_result import SearchResult, read_result, trial_of_rank
from ..statistics.optimism import optimism_of_best
from ..storage.study_storage import StudyStorage
from ..study.consistency import check_declaration
from ..study.finalists import finalists_of
from ..study.own_trainer import TOLD
from ..study.refine_spec import Finalist, RefineSpec, Start
from ..study.search_space import SearchSpace
from ..study.study_spec import SearchSpec, StudySpec
from ..study.train_spec import TrainSpec
from .learnt_outcomes import standard_error
from .worker import stored_spec

_DATA_KEYS = ("train_samples",)  # others would change the set by which finalists are compared
_NOT_TRAIN_KEYS = ("trainer", "table")
_LEAST_SEEDS = 2  # so that what remains to chance can be said


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        rank: Place in the study's ranking of the first network.
        n_finalists: How many from there on.
        start: From what they are trained.
        name: Name of the new study; None for the earlier one's with ``-refined``.
        values: Keys such as ``train.epochs`` and ``data.train_samples``, with their new values.
    """

    rank: int = 1
    n_finalists: int = 1
    start: Start = "scratch"
    name: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def refined_study(storage: StudyStorage, name: str, wish: Wish) -> StudySpec:
    """Return the study that trains networks of another one on; that of the same name, where it is there.

    Its seeds are fresh, and every finalist is trained at least twice: what chose them there is chance here no more.

    Args:
        storage: The database of both.
        name: The earlier study.
        wish: What is asked for.

    Raises:
        InvalidInputError: There is no such study or rank, it has no weights, a key may not change, or there is another
            study of the new name.
    """
    source = stored_spec(storage, name)
    new_name = wish.name or f"{name}-refined"
    if source.train.table is not None or source.train.trainer == TOLD:
        raise InvalidInputError(
            f"the study {name!r} trained nothing itself, so there is nothing to train on; take the architecture by "
            "nas_sens.load_architecture(...)"
        )
    if wish.start == "weights" and source.train.trainer is not None:
        raise InvalidInputError(
            f"the study {name!r} is trained by {source.train.trainer}, which begins as it likes; give --from scratch"
        )
    there = stored_spec(storage, new_name) if storage.exists(new_name) else None
    spec = _declared(source, wish, new_name)
    if there is None:
        result = read_result(storage, name)
        chosen = [trial_of_rank(result, wish.rank + i) for i in range(wish.n_finalists)]
        numbers = [t.candidate for t in chosen]
        points = storage.suggested(name, numbers)
        space: SearchSpace = finalists_of(source.search_space, tuple(points[number] for number in numbers))
        refine = _refine_spec(source, spec, result, chosen, wish)
    else:
        refine, space = _there(there, name, wish), there.search_space
    spec = replace(spec, search_space=space, refine=replace(refine, changed=_differences(source, spec)))
    check_declaration(spec, source="refine")
    return spec


def _there(there: StudySpec, name: str, wish: Wish) -> RefineSpec:
    """Return what a study of the new name refines.

    Raises:
        InvalidInputError: Something else than what is asked for.
    """
    refine = there.refine
    if refine is None or refine.study != name:
        what = "is no refinement" if refine is None else f"refines {refine.study!r}"
        raise InvalidInputError(f"there is a study {there.name!r} already, which {what}; choose another --name")
    ranks = [f.rank for f in refine.finalists]
    if (ranks[0], len(ranks), refine.start) != (wish.rank, wish.n_finalists, wish.start):
        raise InvalidInputError(
            f"there is a study {there.name!r} already, with rank {ranks[0]}, {len(ranks)} finalists and --from "
            f"{refine.start}; give the same to go on with it, or another --name"
        )
    return refine


def _declared(source: StudySpec, wish: Wish, new_name: str) -> StudySpec:
    """Return the new study but for its space.

    Raises:
        InvalidInputError: A key may not change.
    """
    train, data = dict[str, Any](), dict[str, Any]()
    for key, value in wish.values.items():
        section, _, name = key.partition(".")
        train_keys = [k for k in TrainSpec.__dataclass_fields__ if k not in _NOT_TRAIN_KEYS]
        valid = [*(f"train.{k}" for k in train_keys), *(f"data.{k}" for k in _DATA_KEYS)]
        if key not in valid:
            why = "the validation set must stay what finalists are compared by; " if section == "data" else ""
            raise InvalidInputError(f"refine cannot change {shown(key)}: {why}{nearest(key, valid)}")
        if section == "train" and name in source.search_space.training_names:
            raise InvalidInputError(f"refine cannot change {key}: it was searched, and each finalist keeps its own")
        (train if section == "train" else data)[name] = None if value == "all" else value
    train = {"seeds": max(_LEAST_SEEDS, source.train.seeds), "pruner": "none", **train}
    n = wish.n_finalists
    return changed(
        replace(
            source,
            description=f"Finalists of {source.name}, trained on.",
            data=changed(source.data, where="data", **data) if data else source.data,
            search=SearchSpec(sampler="enumerate", n_candidates=n, grow=0, seed=_seed(source, new_name)),
            score=replace(source.score, racing=False),
            select=replace(source.select, rule="random", top_k=n, control=0, rounds=None, cost=None, stop_gain=None),
            train=changed(source.train, where="train", **train),
        ),
        where="",
        name=new_name,
    )


def _seed(source: StudySpec, new_name: str) -> int:
    return derive_seed("refine", source.search.seed, source.name, new_name) % 2**32


def _refine_spec(
    source: StudySpec, spec: StudySpec, result: SearchResult, chosen: Sequence[TrainedCandidate], wish: Wish
) -> RefineSpec:
    figure = result.ranked_by
    sign = -1.0 if result.direction == "maximize" else 1.0
    ranked = [(t, v) for t in result.trials if t.is_ok and (v := t.figure(figure)) is not None]
    optimism = optimism_of_best([sign * v for _, v in ranked], [standard_error(t, figure) for t, _ in ranked])
    found = []
    for i, trial in enumerate(chosen):
        value = trial.figure(figure)
        if value is None or optimism is None or trial.number is None:
            raise InvalidInputError(f"rank {wish.rank + i} of study {source.name!r} has no {figure} to compare with")
        finalist = Finalist(
            rank=wish.rank + i,
            trial=trial.number,
            digest=trial.digest,
            value=value,
            standard_error=standard_error(trial, figure),
        )
        found.append(finalist)
    assert optimism is not None  # as there is a finalist
    return RefineSpec(
        study=source.name,
        start=wish.start,
        figure=figure,
        n_trained=optimism.n,
        optimism=optimism.expected,
        optimism_at_most=optimism.at_most,
        changed={},
        finalists=tuple(found),
    )


def _differences(source: StudySpec, spec: StudySpec) -> dict[str, Any]:
    """Return the keys of training and data that are other ones in the new study, with the earlier values, as JSON."""
    found: dict[str, Any] = {}
    for section in ("train", "data"):
        old, new = asdict(getattr(source, section)), asdict(getattr(spec, section))
        found |= {f"{section}.{key}": value for key, value in old.items() if new[key] != value}
    return dict(json.loads(canonical_json(found)))
