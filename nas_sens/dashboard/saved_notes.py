"""Notes and plots in a database, as optuna-dashboard reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import optuna

from ..storage import bulk_read
from ..storage.optuna_log import quiet_optuna
from ..storage.study_storage import StudyStorage

NOTE_MARK = "*Written by nas_sens, which keeps it up to date until this line is removed.*"
PLOT, SIZE_PLOT = "sensitivity-against-loss", "size-against-loss"  # identifiers of ours


def save_notes(
    storage: StudyStorage, name: str, notes: Mapping[int | None, str], plots: Mapping[str, Mapping[str, Any]]
) -> None:
    """Save notes and plots for optuna-dashboard; what is the same already is not written again.

    Notes without ``NOTE_MARK`` were edited by somebody and are left alone. Notes with it of trials that are not
    named any more are emptied.

    Args:
        storage: The database.
        name: Name of the study.
        notes: Trial number, or None for the study, to Markdown, without the mark.
        plots: Identifier to a Plotly figure as JSON-like values.
    """
    with storage.leases.hold(name, "notes"), storage.guard(), quiet_optuna():
        study = optuna.load_study(study_name=name, storage=storage.optuna_storage)
        _save_texts(storage, study, {n: f"{text}\n\n{NOTE_MARK}" for n, text in notes.items()})
        _save_plots(storage, study, plots)


def _save_texts(storage: StudyStorage, study: optuna.Study, wanted: Mapping[int | None, str]) -> None:
    from optuna_dashboard import get_note, save_note  # seconds to import

    before = storage.optuna_storage.get_study_system_attrs(study._study_id)
    # What a note is saved for is read by three attributes, which finished trials do not offer otherwise.
    ids = bulk_read.trial_ids(storage.rdb, study._study_id, (n for n in wanted if n is not None))
    noted = {int(m[1]) for m in map(re.compile(r"dashboard:(\d+):note_ver").fullmatch, before) if m}
    numbers = {i: number for number, i in ids.items()}
    targets: dict[int | None, Any] = {
        numbers.get(i, -i): SimpleNamespace(storage=storage.optuna_storage, study=study, _trial_id=i)
        for i in {*numbers, *noted}
    }
    for number, target in {None: study, **targets}.items():
        there, text = get_note(cast(Any, target)), wanted.get(number, "")
        if there != text and (NOTE_MARK in there or (not there and text)):
            save_note(cast(Any, target), text)


def _save_plots(storage: StudyStorage, study: optuna.Study, plots: Mapping[str, Mapping[str, Any]]) -> None:
    from optuna_dashboard import save_plotly_graph_object

    before = storage.optuna_storage.get_study_system_attrs(study._study_id)
    for key, figure in plots.items():
        text = json.dumps(figure, allow_nan=False)
        prefix = f"dashboard:plot_data:{key}:"
        n = sum(k.startswith(prefix) for k in before)
        if "".join(before[f"{prefix}{i}"] for i in range(n)) != text:
            plot = SimpleNamespace(to_json=lambda text=text: text)
            save_plotly_graph_object(study, cast(Any, plot), graph_object_id=key)
