"""Enter: an open study, created or resumed under one lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..core.errors import InvalidInputError, first_line
from ..core.identity import canonical_json
from ..core.inputs import shape_to_json
from ..core.progress import Progress, SilentProgress
from ..core.secrets import redact
from ..dashboard.notes import annotate
from ..data import Splits
from ..samplers.proposer import sampler_of
from ..scoring.probe import Probe
from ..scoring.screen import Screen
from ..selection import LEARNING_RULES
from ..storage.artifact_places import check_place
from ..storage.attribute_types import declared_in, of_study
from ..storage.study_storage import StudyStorage
from ..storage.url import storage_url
from ..study.load import from_dict
from ..study.own_trainer import sources_of
from ..study.pretrained import note_on_inputs
from ..study.resume import check_resumable
from ..study.sampler import AUTO
from ..study.study_spec import StudySpec
from ..training.outcome_lookup import TrainingTable
from .failures import failed_in_trainer, tried_again
from .prepare import Prepared
from .settings import Settings
from .waiting import Waiting

GROW = 16  # [search] grow by default
# Scores of one study must be of the same inputs and random numbers.
_SCORE_INPUTS = "all classes in proportion"
_SCORE_WEIGHTS = "common numbers"


@dataclass(frozen=True, kw_only=True)
class Session:
    """An open study.

    Attributes:
        spec: Its declaration, the sampler chosen.
        storage: The database.
        splits: The data on the device.
        probe: What candidates are scored with.
        progress: Where progress is reported to.
        table: Outcomes, if they are looked up instead of trained.
        settings: How this process works on it.
        screens: What candidates are screened with, once it was found; see `latency_stage.screen_of`.
        tried_again: Numbers of trials whose trainings failed in the user's own code, and which are done again.
    """

    spec: StudySpec
    storage: StudyStorage
    splits: Splits
    probe: Probe
    progress: Progress
    table: TrainingTable | None = None
    settings: Settings = field(default_factory=Settings)
    tried_again: frozenset[int | None] = frozenset()
    screens: list[Screen] = field(default_factory=list)


def enter(
    prepared: Prepared,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Session:
    """Open the database, and create the study or check that it may be resumed.

    Args:
        prepared: Declaration, data and probe.
        storage: SQLAlchemy URL; None for ``OPTUNA_STORAGE`` or ``sqlite:///nas_sens.db``.
        artifacts: Folder or bucket (``s3://…``, ``gs://…``) for weights, checkpoints and logs; None for what the study
            remembers, which is a folder beside the SQLite file if none was ever given.
        progress: Where to report progress to.
        settings: How this process works on it.

    Returns:
        The open study.

    Raises:
        InvalidInputError: The study in the database was made with other data, another space or another protocol.
        StorageError: The database cannot be used.
    """
    spec, told, chosen = prepared.spec, progress or SilentProgress(), settings or Settings()
    if chosen.team is not None and (other := spec.train.trainer or spec.train.table) is not None:
        raise InvalidInputError(
            f"several processes for one training need the trainer of nas_sens, but [train] of study {spec.name!r} "
            f"names {other}; start it without torchrun and --devices-per-training"
        )
    check_place(storage_url(storage), artifacts)
    database = StudyStorage(
        storage_url(storage),
        artifacts=artifacts,
        worker=chosen.worker,
        grace_seconds=chosen.grace_seconds,
        report_seconds=chosen.report_seconds,
        patience_seconds=chosen.patience_seconds,
        on_away=told.message,
    )
    waiting = Waiting(told, poll_seconds=0.0)
    text = f"another process creates or opens study {spec.name!r}; waiting for it"
    with database.leases.hold(spec.name, "create", on_wait=lambda: waiting.tell(text)):
        there = database.attributes(spec.name) if database.exists(spec.name) else None
        spec = _new(spec) if there is None else _resumed(spec, there, prepared, database)
        prepared.probe.spec = spec.score
        attributes = _study_attributes(spec, prepared) | database.remember_artifacts(spec.name, there)
        if there is not None:
            attributes |= _threads(there, spec.name, told)
            attributes |= _code(there, spec, told)
        database.create(spec.name, attributes, objective=spec.select.target, direction=spec.select.direction)
        objective = database.objective(spec.name)
    if objective != spec.select.target:
        told.message(
            f"trials of study {spec.name!r} keep {objective} as value, with which it was begun; the rule now learns "
            f"from {spec.select.target}"
        )
    if note := note_on_inputs(spec.search_space, prepared.probe.x, spec.data.name):
        told.message(note)
    session = Session(
        spec=spec,
        storage=database,
        splits=prepared.splits,
        probe=prepared.probe,
        progress=told,
        table=prepared.table,
        settings=chosen,
        tried_again=frozenset() if there is None else tried_again(spec, database.trained(spec.name)),
    )
    describe_study(session)
    return session


def describe_study(session: Session) -> None:
    """Describe the study for the dashboard; a study is worth more than its description, so a failure is only told."""
    try:
        annotate(session.storage, session.spec.name)
    except Exception as error:  # whatever it is: see above
        text = redact(first_line(error), session.storage.url)
        session.progress.message(f"the notes for the dashboard could not be written: {text}")


def sampling(spec: StudySpec) -> dict[str, Any]:
    """Return what a Proposer wants to know of a study."""
    return {"sampler": spec.search.sampler, "seed": spec.search.seed, "n_candidates": spec.search.n_candidates}


def _new(spec: StudySpec) -> StudySpec:
    spec = _with_sampler(spec, sampler_of(spec.search_space, spec.search.sampler, spec.search.n_candidates))
    return _with_growth(spec)


def _with_sampler(spec: StudySpec, sampler: str) -> StudySpec:
    return replace(spec, search=replace(spec.search, sampler=sampler))


def _with_growth(spec: StudySpec, stored: StudySpec | None = None) -> StudySpec:
    """Return the study with the number of candidates that are proposed between rounds, where it declares none."""
    grow = spec.search.grow
    if spec.select.rule not in LEARNING_RULES:
        grow = 0
    elif grow is None:
        is_begun = stored is not None and stored.select.rule in LEARNING_RULES
        grow = stored.search.grow if stored is not None and is_begun else GROW
    return replace(spec, search=replace(spec.search, grow=grow))


def _resumed(spec: StudySpec, there: Mapping[str, Any], prepared: Prepared, database: StudyStorage) -> StudySpec:
    """Return the study as it goes on.

    Raises:
        InvalidInputError: It may not go on as it is declared, or on these data.
    """
    stored = from_dict(declared_in(spec.name, there))
    if spec.search.sampler == AUTO:
        spec = _with_sampler(spec, stored.search.sampler)
    spec = _with_growth(spec, stored)
    if spec.select.rounds is None:  # it goes on as it was begun
        spec = replace(spec, select=replace(spec.select, rounds=stored.select.rounds))
    if spec.score.metrics == "auto" and not declared_in(spec.name, there)["score"].get("metrics"):
        # It was begun when there were none by default, which it goes on with.
        spec = replace(spec, score=replace(spec.score, metrics="none"))
    is_trained = not all(failed_in_trainer(t) for t in database.trained(spec.name))
    check_resumable(stored, spec, is_trained=is_trained, where=database.shown_url)
    if there.get("score_inputs") != _SCORE_INPUTS:
        raise InvalidInputError(
            f"the study {spec.name!r} was scored by an older nas_sens on other inputs, the first ones of the set; "
            "rank, report and export still read it, but to go on start a new study with --name"
        )
    if there.get("score_weights") != _SCORE_WEIGHTS and any(c.n_seeds for c in database.scored(spec.name)):
        raise InvalidInputError(
            f"the study {spec.name!r} was scored by an older nas_sens, whose random networks had other weights; rank, "
            "report and export still read it, but to go on start a new study with --name"
        )
    _check_data(spec.name, there, prepared.splits)
    table, given = there.get("table_fingerprint", "none"), _fingerprint(prepared.table)
    if table != given and is_trained:
        raise InvalidInputError(
            f"the table of outcomes of study {spec.name!r} changed: fingerprint {table} stored, {given} given; restore "
            "[train] table, or start a new study with --name"
        )
    return spec


def _check_data(name: str, there: Mapping[str, Any], splits: Splits) -> None:
    """Check that a study goes on with its data: by their numbers, or by the files of pictures that are streamed now.

    Raises:
        InvalidInputError: They are others.
    """
    given, begun, content = splits.fingerprint, of_study(name, there, "data_fingerprint"), there.get("data_content", "")
    if begun == given or (content and content == splits.content):
        return
    if splits.is_streamed and not content:
        raise InvalidInputError(
            f"the study {name!r} was begun when all pictures were decoded at the start, and cannot be compared with "
            'streamed ones; set load = "memory" in [data], or start a new study with --name'
        )
    raise InvalidInputError(
        f"the data of study {name!r} changed: fingerprint {begun} stored, {given} given; "
        "restore the data, or start a new study with --name"
    )


def _threads(there: Mapping[str, Any], name: str, progress: Progress) -> dict[str, int]:
    """Return the number of threads that a study was begun with, and tell if it is another one now."""
    begun, now = there.get("n_threads"), torch.get_num_threads()
    if begun is not None and begun != now:
        progress.message(
            f"study {name!r} was begun with {begun} threads and goes on with {now}: the last digits of what is scored "
            f"and trained from here on may differ; OMP_NUM_THREADS={begun} avoids that"
        )
    return {} if begun is None else {"n_threads": begun}


def _code(there: Mapping[str, Any], spec: StudySpec, progress: Progress) -> dict[str, Any]:
    """Return the digests of the functions that a study was begun with, and tell which have changed."""
    begun: Mapping[str, str] = there.get("code", {})
    changed = [name for name, now in sources_of(spec).items() if begun.get(name, now) != now]
    if changed:
        progress.message(
            f"the source of {', '.join(changed)} changed since study {spec.name!r} was begun: what is scored and "
            "trained already is of the earlier one; if it builds or trains other networks now, start a new study with "
            "--name"
        )
    return {"code": dict(begun)} if begun else {}


def _fingerprint(table: TrainingTable | None) -> str:
    return "none" if table is None else table.fingerprint


def _study_attributes(spec: StudySpec, prepared: Prepared) -> dict[str, Any]:
    splits, table = prepared.splits, prepared.table
    return {
        "nas_sens_version": version("nas-sens"),
        "study": canonical_json(spec.to_dict()),
        "space_digest": spec.search_space.digest,
        "data_fingerprint": splits.fingerprint,
        **({"data_content": splits.content} if splits.content else {}),
        "score_inputs": _SCORE_INPUTS,
        "score_weights": _SCORE_WEIGHTS,
        "n_threads": torch.get_num_threads(),
        **({"code": sources} if (sources := sources_of(spec)) else {}),
        "input_shape": shape_to_json(splits.input_shape),
        "n_outputs": splits.n_outputs,
        "task": splits.task,
        **({} if (moment := splits.input_second_moment) is None else {"input_second_moment": moment}),
        **({} if table is None else {"table_fingerprint": table.fingerprint}),
    }
