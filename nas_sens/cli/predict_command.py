"""``nas-sens predict``: what an exported network says of files."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from .display import show_rows
from .options import DEVICE_HELP, format_option

if TYPE_CHECKING:
    from ..models.predict import Prediction

_MOST = 10  # classes that are shown of a single input


@click.command()
@click.argument("folder")
@click.argument("files", nargs=-1, required=True)
@click.option("--device", default="auto", show_default=True, help=DEVICE_HELP)
@format_option
def predict(folder: str, files: tuple[str, ...], device: str, form: str) -> None:
    """Predict by the exported network in FOLDER for FILES: pictures, folders of pictures, or tables in CSV.

    Files are prepared as they were for training. A table needs the columns that the network was trained with, by their
    names; others are not looked at. With --format csv or json every class has a column p_CLASS with its probability.
    """
    from ..models.predict import Predictor

    predictor = Predictor(folder, device=device)
    found = predictor.predict(files)
    if form != "table":
        show_rows((_row(p, predictor.task, is_full=True) for p in found), form=form)
        return
    first = list(islice(found, 2))
    if len(first) == 1 and predictor.task == "classification":
        best = sorted(first[0].values.items(), key=lambda item: -item[1])[:_MOST]
        show_rows([{"class": c, "probability": p} for c, p in best], form=form, title=first[0].source, wide=("class",))
        return
    show_rows([_row(p, predictor.task, is_full=False) for p in [*first, *found]], form=form, wide=("source",))


def _row(prediction: Prediction, task: str, *, is_full: bool) -> dict[str, Any]:
    """Return one row: all values, or only what is predicted."""
    source, values, chosen = prediction.source, prediction.values, prediction.chosen
    if task == "regression":
        if len(values) == 1:
            return {"source": source, "prediction": next(iter(values.values()))}
        return {"source": source, **{f"prediction_{name}": value for name, value in values.items()}}
    probabilities = {f"p_{name}": value for name, value in values.items()} if is_full else {}
    best = {"probability": values[chosen[0]]} if task == "classification" else {}
    return {"source": source, "prediction": ", ".join(chosen), **best, **probabilities}
