"""Command that shows how far a study is."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..core.text import printable
from .display import show_rows
from .live_stage import duration
from .options import format_option, name_argument, seconds_type, storage_options
from .output import open_storage

if TYPE_CHECKING:
    from ..core.candidates import Underway
    from ..pipeline.overview import Overview


@click.command()
@name_argument
@click.option("--watch", is_flag=True, help="Show it again and again, until nothing is left or Ctrl-C.")
@click.option("--seconds", type=seconds_type(0.1), default=2.0, show_default=True, help="Between two looks.")
@storage_options
@format_option
def status(name: str, watch: bool, seconds: float, storage: str | None, artifacts: str | None, form: str) -> None:
    """Show how far the study NAME is.

    Scored, waiting, running (where, since, epoch, last figure), done, failed, time left.
    """
    from ..pipeline.overview import overview_of
    from ..pipeline.worker import stored_spec

    database = open_storage(storage, artifacts)
    spec = stored_spec(database, name)
    overview = overview_of(database, spec)
    if form != "table":
        show_rows([_row(overview)], form=form)
        return
    console = Console()
    if not watch:
        console.print(_page(overview))
        return
    with Live(_page(overview), console=console, auto_refresh=False) as live:
        while overview.n_scored < overview.n_wanted or overview.n_left or overview.running:
            time.sleep(seconds)
            overview = overview_of(database, spec)
            live.update(_page(overview), refresh=True)


def _row(overview: Overview) -> dict[str, Any]:
    counts = {k: v for k, v in vars(overview).items() if k not in ("waiting", "running", "curve_of")}
    return {
        **counts,
        "n_waiting": len(overview.waiting),
        "running": [_running(u, overview.curve_of) for u in overview.running],
    }


def _running(underway: Underway, figure: str) -> dict[str, Any]:
    training = underway.training
    return {
        "trial": training.number,
        "architecture": training.description,
        "chosen_by": training.chosen_by,
        "worker": underway.worker,
        "since": underway.started.isoformat(timespec="seconds") if underway.started else None,
        "epoch": len(underway.curve),
        figure: underway.curve[-1] if underway.curve else None,
    }


def _page(overview: Overview) -> Group:
    o = overview
    left = "" if o.seconds_left is None or not (o.n_left or o.running) else f", about {duration(o.seconds_left)} left"
    grown = f", {o.n_grown:,} more between trainings" if o.n_grown else ""
    head = (
        f"{o.name}: {o.n_scored:,} of {o.n_wanted:,} candidates scored{grown}; trainings: {o.n_done:,} done, "
        f"{len(o.running)} running, {len(o.waiting)} waiting, {o.n_left:,} left, {o.n_pruned:,} pruned, "
        f"{o.n_failed:,} failed{left}"
    )
    best = [Text(printable(f"best so far: {o.best}"))] if o.best else []
    if not o.running:
        return Group(Text(printable(head)), *best)
    table = Table()
    for column in ("trial", "architecture", "chosen_by", "worker", "since", "epoch", o.curve_of):
        table.add_column(column, overflow="fold")
    now = datetime.now()
    for u in o.running:
        row = _running(u, o.curve_of)
        row["since"] = "–" if u.started is None else duration((now - u.started).total_seconds())
        row[o.curve_of] = "–" if row[o.curve_of] is None else f"{row[o.curve_of]:.4g}"
        table.add_row(*(Text(printable(str(v))) for v in row.values()))
    return Group(Text(printable(head)), *best, table)
