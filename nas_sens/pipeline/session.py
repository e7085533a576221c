"""An open study: its declaration, database, data on the device and probe."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..core.declarations import changed
from ..core.device import resolve_device
from ..core.errors import InvalidInputError, first_line
from ..core.identity import canonical_json
from ..core.progress import Progress, SilentProgress
from ..dashboard.notes import annotate
from ..data import Splits, load_data
from ..samplers.proposer import Proposer
from ..scoring.probe import Probe, probe_inputs
from ..storage.study_storage import StudyStorage
from ..storage.url import redact, storage_url
from ..study.load import from_dict
from ..study.resume import check_resumable
from ..study.sampler import AUTO
from ..study.study_spec import StudySpec, check_declared_figures, check_searched_training
from ..training.outcome_lookup import TrainingTable, read_training_table
from ..training.trainable import check_trainable

POLL_SECONDS = 0.5  # between looks at what other processes have done
_SCORE_INPUTS = "all classes in proportion"  # scores of one study must be of the same inputs


@dataclass(frozen=True)
class Session:
    """An open study: declaration, database, data on the device, probe; outcomes, if they are looked up."""

    spec: StudySpec
    storage: StudyStorage
    splits: Splits
    probe: Probe
    progress: Progress
    table: TrainingTable | None = None


def open_session(
    spec: StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Session:
    """Load the data, open the database, and create the study or check that it may be resumed.

    Raises:
        InvalidInputError: The study in the database was made with other data, another space or another protocol, or
            the data cannot be trained on as declared.
    """
    where = resolve_device(device)
    check_searched_training(spec)
    check_declared_figures(spec)
    table = _table_of(spec)
    splits = load_data(spec.data)
    for values in spec.search_space.training_corners():  # one, of no values, where nothing is searched
        check_trainable(changed(spec.train, where="training", **values), splits)
    database = StudyStorage(storage_url(storage), artifacts=None if artifacts is None else Path(artifacts))
    with database.claims.hold(spec.name, "create"):
        if database.exists(spec.name):
            attributes = database.attributes(spec.name)
            stored = from_dict(json.loads(attributes["study"]))
            if spec.search.sampler == AUTO:
                spec = replace(spec, search=replace(spec.search, sampler=stored.search.sampler))
            is_trained = bool(database.trained(spec.name))
            check_resumable(stored, spec, is_trained=is_trained, where=database.shown_url)
            if attributes.get("score_inputs") != _SCORE_INPUTS:
                raise InvalidInputError(
                    f"the study {spec.name!r} was scored by an older nas_sens on other inputs, the first ones of the "
                    "set; rank, report and export still read it, but to go on start a new study with --name"
                )
            if attributes["data_fingerprint"] != splits.fingerprint:
                raise InvalidInputError(
                    f"the data of study {spec.name!r} changed: fingerprint {attributes['data_fingerprint']} stored, "
                    f"{splits.fingerprint} given; restore the data, or start a new study with --name"
                )
            fingerprint = "none" if table is None else table.fingerprint
            if (there := attributes.get("table_fingerprint", "none")) != fingerprint and is_trained:
                raise InvalidInputError(
                    f"the table of outcomes of study {spec.name!r} changed: fingerprint {there} stored, {fingerprint} "
                    "given; restore [train] table, or start a new study with --name"
                )
        else:
            sampler = Proposer(spec.search_space, **sampling(spec)).sampler
            spec = replace(spec, search=replace(spec.search, sampler=sampler))
        database.create(spec.name, _study_attributes(spec, splits, table))
    moved = splits.to(where)
    x, y = probe_inputs(moved, spec.score, seed=spec.search.seed)
    probe = Probe(x, spec.score, seed=spec.search.seed, y=y)
    session = Session(spec, database, moved, probe, progress or SilentProgress(), table)
    describe_study(session)
    return session


def describe_study(session: Session) -> None:
    """Describe the study for the dashboard; a study is worth more than its description, so a failure is only told."""
    try:
        annotate(session.storage, session.spec.name)
    except Exception as error:  # whatever it is: see above
        text = redact(first_line(error), session.storage.url)
        session.progress.message(f"the notes for the dashboard could not be written: {text}")


def _table_of(spec: StudySpec) -> TrainingTable | None:
    """Return the table that outcomes are looked up in, with the figures that selection and ranking need."""
    if spec.train.table is None:
        return None
    select = spec.select
    if select.final not in ("val_loss", "val_error"):
        raise InvalidInputError(
            f"[select] final = {select.final!r} needs trained networks, but [train] table only has their figures; "
            "take val_error or val_loss"
        )
    return read_training_table(spec.train.table, required=sorted({select.target, select.final}))


def _study_attributes(spec: StudySpec, splits: Splits, table: TrainingTable | None) -> dict[str, Any]:
    if spec.score.after_softmax and splits.task == "regression":
        raise InvalidInputError(
            f"after_softmax = true in [score] needs classes, but data {spec.data.name!r} is for regression: softmax "
            "of one output is always 1; set it to false"
        )
    if spec.select.final == "predicted_loss" and spec.train.loss == "mse" and splits.task == "classification":
        raise InvalidInputError(
            '[select] final = "predicted_loss" is a cross-entropy, but [train] loss is "mse"; take another final'
        )
    return {
        "nas_sens_version": version("nas-sens"),
        "study": canonical_json(spec.to_dict()),
        "space_digest": spec.search_space.digest,
        "data_fingerprint": splits.fingerprint,
        "score_inputs": _SCORE_INPUTS,
        "input_shape": list(splits.input_shape),
        "n_outputs": splits.n_outputs,
        "task": splits.task,
        "input_second_moment": splits.input_second_moment,
        **({} if table is None else {"table_fingerprint": table.fingerprint}),
    }


def sampling(spec: StudySpec) -> dict[str, Any]:
    """Return what a Proposer wants to know of a study."""
    return {"sampler": spec.search.sampler, "seed": spec.search.seed, "n_candidates": spec.search.n_candidates}
