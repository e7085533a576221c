"""Latency of a study's candidates: a few dozen measured, a model fitted to them, and the chosen ones measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.samplers import RandomSampler

from ..architectures import ArchitectureSpec, load_spec
from ..architectures.tables import identity_of, key_of, number_in, read_rows
from ..core.candidates import ScoredCandidate
from ..core.device import memory_guard, resolve_device
from ..core.errors import InfeasibleArchitectureError, InvalidInputError, OutOfMemoryError
from ..core.identity import derive_seed, make_generator
from ..core.inputs import example_of, mapped, shape_from
from ..scoring.assess import sized
from ..scoring.latency import Latency, measure_latency
from ..scoring.latency_model import fit_latency
from ..scoring.screen import Screen
from ..storage.attribute_types import LATENCIES
from ..study.constraints import LATENCY, LatencySpec, latency_of, memory_batch_of
from ..study.proposal import Proposal
from ..study.search_space import SearchSpace
from .session import Session

_N = 32  # measured ones that the model is fitted to
_FEWEST = 8
_TRIES = 2_000
Row = dict[str, Any]


@dataclass(frozen=True)
class _Measured:
    """What is stored of latencies: rows of digest, ms, sd and terms, those that the model is fitted to first."""

    rows: list[Row]
    n_fitted: int

    @property
    def known(self) -> dict[str, Latency]:
        """Digest of an architecture to its latency."""
        return {row["digest"]: Latency(row["ms"], row["sd"]) for row in self.rows}


def screen_of(session: Session) -> Screen | None:
    """Return what candidates are screened with, having measured what its model needs; None without such bounds.

    It is found once a session. One process measures, and what it finds is kept with the study: all screen alike.

    Raises:
        InvalidInputError: Too few candidates can be measured, or the table of latencies has too few of the space.
    """
    space, splits = session.spec.search_space, session.splits
    latency = latency_of(space.constraints)
    if latency is None and memory_batch_of(space.constraints) is None:
        return None
    if not session.screens:
        screen = Screen(space=space, input_shape=splits.input_shape, n_outputs=splits.n_outputs)
        session.screens.append(screen if latency is None else _with_model(screen, _measured(session, screen, latency)))
    return session.screens[0]


def _with_model(screen: Screen, found: _Measured) -> Screen:
    fitted = found.rows[: found.n_fitted]
    model = fit_latency([np.array(row["terms"]) for row in fitted], [row["ms"] for row in fitted])
    return replace(screen, model=model, known=found.known)


def _measured(session: Session, screen: Screen, latency: LatencySpec) -> _Measured:
    name = session.spec.name
    if (known := _stored(session)) is not None:
        return known
    with session.storage.leases.hold(name, LATENCIES):
        if (known := _stored(session)) is not None:
            return known
        refined = session.spec.refine
        if refined is not None and (known := _stored(session, refined.study)) is not None:
            _store(session, known)  # finalists are those that were measured there
            return known
        if latency.table is not None:
            rows, where = _rows_of_table(session, screen, latency), latency.table
        else:
            rows, where = _rows_of_measuring(session, screen, latency), f"{latency.device} ({latency.runtime})"
        found = _Measured(rows, len(rows))
        _store(session, found)
    model = _with_model(screen, found).model
    assert model is not None
    times = sorted(row["ms"] for row in rows)
    session.progress.message(
        f"latency of {len(rows)} candidates on {where}: {times[0]:.3g} to {times[-1]:.3g} ms; of others it is "
        f"predicted, within {model.error:.0%} for nine in ten"
    )
    return found


def _stored(session: Session, name: str | None = None) -> _Measured | None:
    found = session.storage.attributes(name or session.spec.name).get(LATENCIES)
    return None if found is None else _Measured(list(found["rows"]), int(found["n_fitted"]))


def _store(session: Session, found: _Measured) -> None:
    attribute = {"rows": found.rows, "n_fitted": found.n_fitted}
    session.storage.create(session.spec.name, {LATENCIES: attribute}, objective=session.spec.select.target)


def _rows_of_measuring(session: Session, screen: Screen, latency: LatencySpec) -> list[Row]:
    """Return rows of random candidates of the space.

    Raises:
        InvalidInputError: There are too few that can be run.
    """
    rows: list[Row] = []
    with session.progress.stage("latency", _N) as stage:
        for architecture, candidate in islice(_random(session), _N):
            found = measured_latency(screen, architecture, latency)
            rows.append(_row(screen, architecture, candidate, latency, found))
            stage.advance(1, candidate.description)
    space = session.spec.search_space
    return _enough(rows, space, f"{len(rows)} candidates of {space.name!r} could be measured")


def _row(
    screen: Screen, architecture: ArchitectureSpec, candidate: ScoredCandidate, latency: LatencySpec, found: Latency
) -> Row:
    assert candidate.flops is not None
    terms = screen.terms(architecture, candidate.flops, latency.batch).tolist()
    return {"digest": architecture.digest, "ms": found.ms, "sd": found.sd, "terms": terms}


def _enough(rows: list[Row], space: SearchSpace, what: str) -> list[Row]:
    """Return the rows, of which a small space may have few: all of it then.

    Raises:
        InvalidInputError: There are too few to fit a model to.
    """
    if len(rows) < min(_FEWEST, space.cardinality or _FEWEST):
        raise InvalidInputError(
            f"a model of latency needs {_FEWEST} networks; {what}; widen the space or its constraints"
        )
    return rows


def _random(session: Session) -> Iterator[tuple[ArchitectureSpec, ScoredCandidate]]:
    """Yield random architectures of the space that fit the data and meet the other bounds, each once."""
    space, seen = session.spec.search_space, set[str]()
    sampler = RandomSampler(seed=derive_seed("latency", session.spec.search.seed) % 2**32)
    for _ in range(_TRIES):
        params = space.draw(sampler)
        architecture = space.architecture(params)
        if architecture.digest in seen:
            continue
        seen.add(architecture.digest)
        candidate = sized(space, Proposal(params, architecture, False, None, {}), session.splits, torch.device("cpu"))
        if candidate.is_ok:
            yield architecture, candidate


def _rows_of_table(session: Session, screen: Screen, latency: LatencySpec) -> list[Row]:
    """Return rows of the architectures in a table that a device elsewhere was measured for.

    Raises:
        InvalidInputError: It cannot be read, or too few of its rows are networks for these data.
    """
    path = Path(str(latency.table))
    header, lines = read_rows(path)
    if "architecture" not in header or LATENCY not in header:
        raise InvalidInputError(
            f"{path}: a table of latencies needs the columns architecture and {LATENCY}; given {', '.join(header)}"
        )
    rows = []
    for number, cells in lines:
        where = f"{path}, line {number}"
        identity_of(cells, key_of(header), where)
        architecture, ms = load_spec(cells["architecture"]), number_in(cells[LATENCY], LATENCY, where)
        if not 0 < ms < float("inf"):
            raise InvalidInputError(f"{where}: {LATENCY} must be a number above 0; given {cells[LATENCY]!r}")
        proposal = Proposal({}, architecture, False, None, {})
        candidate = sized(session.spec.search_space, proposal, session.splits, torch.device("cpu"))
        if candidate.flops is not None:
            rows.append(_row(screen, architecture, candidate, latency, Latency(ms, 0.0)))
    return _enough(rows, session.spec.search_space, f"{len(rows)} rows of {path} are networks for these data")


def measured_latency(screen: Screen, architecture: ArchitectureSpec, latency: LatencySpec) -> Latency:
    """Return the latency of an untrained network, measured here."""
    device = resolve_device(latency.device)
    generator = make_generator("latency", architecture.digest, device=device)
    model = architecture.build(screen.input_shape, screen.n_outputs, generator=generator, device=device)
    x = mapped(lambda part: part.to(device), example_of(shape_from(screen.input_shape), latency.batch))
    return measure_latency(model, x, latency)


class LatencyCheck:
    """Measures what is to be trained, and tells what is too slow; each once, whichever worker plans.

    Args:
        session: The study.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._screen = session, screen_of(session)
        spec = None if self._screen is None else self._screen.latency
        self._latency = None if spec is None or spec.table is not None else spec

    @property
    def known(self) -> Mapping[str, Latency]:
        """Digest of an architecture to its latency, as far as that is known."""
        return {} if self._screen is None else self._screen.known

    def too_slow(self, candidates: Sequence[ScoredCandidate]) -> list[str]:
        """Return the digests of those that do not meet the bound, having measured them."""
        if self._latency is None or self._screen is None or not candidates:
            return []
        stored = _stored(self._session)  # others may have measured meanwhile
        assert stored is not None
        self._screen = replace(self._screen, known=stored.known)
        return [c.digest for c in candidates if self._problem(c, self._latency)]

    def _problem(self, candidate: ScoredCandidate, latency: LatencySpec) -> str | None:
        architecture, screen = load_spec(candidate.architecture), self._screen
        assert screen is not None
        is_new = architecture.digest not in screen.known
        if is_new:
            try:
                with memory_guard():
                    found = measured_latency(screen, architecture, latency)
            except (InfeasibleArchitectureError, OutOfMemoryError):
                return "cannot be run"
            before = _stored(self._session)
            assert before is not None
            row = _row(screen, architecture, candidate, latency, found)
            _store(self._session, _Measured([*before.rows, row], before.n_fitted))
            screen = self._screen = replace(screen, known={**screen.known, architecture.digest: found})
        found = screen.known[architecture.digest]
        problem = screen.violation(LATENCY, found.ms)
        if problem and is_new:
            self._session.progress.message(
                f"{candidate.description} is not trained: measured, {problem} (± {found.sd:.2g}, predicted "
                f"{candidate.measures[LATENCY]:.3g})"
            )
        return problem
