"""The command that shows what is read of data, before anything runs on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .completion import data_sets
from .display import print_out, show_rows
from .options import format_option

if TYPE_CHECKING:
    from ..data import DataSpec
    from ..data.samples import Column
    from ..data.understanding import Understanding


@click.command()
@click.argument("name", shell_complete=data_sets)
@click.option("--target", help="Column to predict, for csv: and hf: data.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True,
              help="What is to be learnt.")  # fmt: skip
@click.option("--drop", metavar="COLUMN", multiple=True, help="Column to leave out; may be given several times.")
@click.option("--layout", type=click.Choice(["auto", "nchw", "nhwc", "nhw", "ncl", "nlc"]), default="auto",
              show_default=True, help="Order of the axes of arrays.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(min=1), help="Pixels to resize images to.")
@click.option("--root", default="data", show_default=True, help="Folder of downloaded data sets.")
@format_option
def data(name: str, target: str | None, task: Any, drop: tuple[str, ...], layout: Any, image_size: int | None,
         root: str, form: str) -> None:  # fmt: skip
    """Show what is read of data: columns and their kinds, classes with counts, parts, and what looks strange.

    NAME is a data set (nas-sens list data), such as csv:iris.csv, npz:PATH or folder:PATH; or a study's file (.toml),
    whose [data] is taken as it is, without the other options. No study is made.
    """
    from ..core.errors import InvalidInputError
    from ..data import DataSpec, read_samples, split
    from ..data._table import UnusableTableError
    from ..data.understanding import understanding_of

    given = DataSpec(name=name, target=target, task=task, drop=drop, layout=layout, image_size=image_size, root=root)
    spec = _declared(name) if name.endswith(".toml") else given
    try:
        samples = read_samples(spec)
    except UnusableTableError as error:  # what was understood of it is the way to mend it
        _show_columns(error.columns, form)
        raise
    try:
        splits = split(samples, spec)
    except InvalidInputError:
        _show(understanding_of(samples, None, name=spec.name), form)
        raise
    _show(understanding_of(samples, splits, name=spec.name), form)


def _declared(path: str) -> DataSpec:
    from ..study.load import load_study

    return load_study(path).data


def _show(found: Understanding, form: str) -> None:
    if form == "json":
        print_out(json.dumps(found.to_dict(), indent=2))
        return
    classes = [{"class": name, **counts} for name, counts in found.classes.items()]
    parts = [{"part": part, "samples": n} for part, n in found.parts.items()]
    if form == "csv":
        show_rows([vars(c) for c in found.columns] or classes or parts, form=form)
        return
    sides = found.input_shape
    shape = "×".join(f"{s:,}" for s in sides) if isinstance(sides, list) else json.dumps(sides)
    low, high = found.input_range
    fingerprint = f", fingerprint {found.fingerprint}" if found.fingerprint else ""
    print_out(f"{found.name}: {found.task}, inputs {shape} from {low:.4g} to {high:.4g}{fingerprint}")
    if found.target_range:
        print_out(f"targets from {found.target_range[0]:g} to {found.target_range[1]:g}")
    if found.columns:
        _show_columns(found.columns, form)
    if classes:
        show_rows(classes, form=form, title="Classes", wide=("class",))
    show_rows(parts, form=form, title="Parts")
    for note in found.notes:
        print_out(f"note: {note}")


def _show_columns(columns: tuple[Column, ...], form: str) -> None:
    rows = [vars(c) for c in columns]
    if form == "json":
        print_out(json.dumps({"columns": rows}, indent=2))
        return
    named = [{"column": c.name} | {k: v for k, v in vars(c).items() if k != "name"} for c in columns]
    show_rows(named, form=form, title="Columns", wide=("column", "note"))
