"""What optuna-dashboard shows beside the trials: notes on studies and winners, and a scatter of S and loss."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.candidates import CONTROL, TrainedCandidate
from ..core.figures import BY_NAME, HEADLINES, sd_name
from ..core.text import markdown_code, markdown_text
from ..results.search_result import SearchResult, read_result
from ..storage.study_storage import StudyStorage
from ..study.select_spec import objective_of
from .front_page import front_page
from .saved_notes import PLOT, SIZE_PLOT, save_notes

N_WINNERS = 3
_NOT_SHOWN = ("root", "download")  # where files lie on one machine is no part of the protocol
_MOST_POINTS = 1_000  # every 2,045 characters of a plot are one write
_READING = (
    "S is the variance of the outputs that input noise causes, before training; log10 of it is shown. **That it says "
    "anything about the loss after training is a hypothesis**, and so is the sign: in some spaces a small S goes with "
    "a small loss, in others a large one. Compare the selected candidates with the random control group before you "
    "believe it."
)


def annotate(storage: StudyStorage, name: str) -> None:
    """Save notes and plot of a study as it is now; cheap, and without effect if nothing changed."""
    result = read_result(storage, name)
    figure = _figure_of(result)
    plots = {PLOT: scatter(result.trials, figure), SIZE_PLOT: scatter(result.trials, figure, of_size=True)}
    save_notes(storage, name, notes(result), plots)


def notes(result: SearchResult) -> dict[int | None, str]:
    """Return the notes in Markdown by trial number; None stands for the study itself."""
    winners = [t for t in result.trials if t.is_ok][:N_WINNERS]
    texts: dict[int | None, str] = {None: _study_note(result)}
    return texts | {t.number: _winner_note(result.name, rank, t) for rank, t in enumerate(winners, 1)}


def scatter(trials: Sequence[TrainedCandidate], figure: str = "val_loss", *, of_size: bool = False) -> dict[str, Any]:
    """Return a Plotly figure of a figure of trainings against log10 S before training, as JSON-like values.

    Args:
        trials: The trainings.
        figure: Which figure.
        of_size: Whether it is against the number of parameters instead, on a logarithmic axis.
    """
    x = _size if of_size else _sensitivity
    label = BY_NAME[figure].label if figure in BY_NAME else figure
    ok = [t for t in trials if t.is_ok and None not in (x(t), t.figure(figure))][:_MOST_POINTS]
    groups = {
        "selected": [t for t in ok if t.chosen_by != CONTROL],
        "control (random)": [t for t in ok if t.chosen_by == CONTROL],
    }
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": group,
            "marker": {"size": 10, "symbol": "circle" if group == "selected" else "square"},
            "x": [x(t) for t in members],
            "y": [float(f"{t.figure(figure):.5g}") for t in members],
            "text": [f"trial {t.number}: {t.description}" for t in members],
        }
        for group, members in groups.items()
    ]
    layout = {
        "title": {"text": f"{'Size' if of_size else 'Sensitivity before training'} against {label}"},
        "xaxis": {"title": {"text": "parameters"}, "type": "log"}
        if of_size
        else {"title": {"text": "log10 S before training"}},
        "yaxis": {"title": {"text": label}},
    }
    return {"data": data, "layout": layout}


def _sensitivity(t: TrainedCandidate) -> float | None:
    return None if t.log10_sensitivity_before is None else round(t.log10_sensitivity_before, 4)


def _size(t: TrainedCandidate) -> int | None:
    return t.params or None  # a logarithmic axis has no 0


def _figure_of(result: SearchResult) -> str:
    """Return the figure that is shown: the validation loss, unless a trainer of the user's own has another target."""
    target = objective_of(result.protocol).name
    return "val_loss" if target in BY_NAME else target


def _study_note(result: SearchResult) -> str:
    ok = sum(c.is_ok for c in result.candidates)
    n_grown = sum(c.grown_for is not None for c in result.candidates if c.is_ok)
    grown = (
        f", of which {n_grown} were proposed between trainings (`grown_for`), half or more near good ones"
        if n_grown
        else ""
    )
    lines = [
        f"# {markdown_text(result.name)}",
        markdown_text(str(result.protocol.get("description", ""))),
        *front_page(result),
        "## How to read the trials",
        f"**Scored candidates** are trials in state PRUNED, as they are not trained: {ok} here{grown}. "
        f"{len(result.candidates) - ok} more are infeasible or dead (state FAIL, reason in the user attribute "
        f"`status`). {_READING}",
        f"**Trainings** are trials of their own, {len(result.trials)} finished here: WAITING, RUNNING, COMPLETE. Their "
        "value is what the rule makes better, the mean over training seeds, and their curve the validation loss, or "
        "what their trainer reports, after each epoch; weights are among the artifacts. `chosen_by` says whether the "
        "rule or the random control group chose it, `candidate` is the number of the candidate's trial. Test figures "
        "are for reading only: nothing is selected by them.",
        _protocol(result.protocol),
    ]
    return "\n\n".join(line for line in lines if line)


def _winner_note(name: str, rank: int, trial: TrainedCandidate) -> str:
    figures = {markdown_text(name): (value, trial.figure_sd(name)) for name, value in trial.figures.items()}
    figures |= {f.label: (getattr(trial, f.name), getattr(trial, sd_name(f.name), None)) for f in HEADLINES}
    rows = [f"| {k} | {_number(v, sd)} |" for k, (v, sd) in figures.items() if v is not None]
    return "\n".join(
        [
            f"## Rank {rank} of {markdown_code(name)}: {markdown_text(trial.description)}",
            "",
            f"{trial.params:,} parameters, chosen by {markdown_text(trial.chosen_by)}, {trial.n_seeds} training seeds "
            "(± one standard deviation over them).",
            "",
            "| figure | value |",
            "|---|---|",
            *rows,
            "",
            f"Take it: {_export(name, rank)}",
        ]
    )


def _export(name: str, rank: int) -> str:
    return markdown_code(f"nas-sens export {shlex.quote(name)} --rank {rank} -o DIR")


def _number(value: float, sd: float | None) -> str:
    return f"{value:.4g}" + (f" ± {sd:.2g}" if sd is not None and math.isfinite(sd) else "")


def _protocol(protocol: Mapping[str, Any]) -> str:
    lines = ["## Protocol", f"- search space: {markdown_text(str(protocol['search_space'].get('name', '')))}"]
    for section in ("data", "score", "search", "select", "train"):
        values = {
            k: v for k, v in protocol[section].items() if v is not False and v not in (None, "") and k not in _NOT_SHOWN
        }
        lines.append(f"- {section}: " + ", ".join(f"{k} = {markdown_text(str(v))}" for k, v in values.items()))
    return "\n".join(lines)
