"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click

Command = Callable[..., None]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


storage_option = click.option(
    "--storage",
    envvar="OPTUNA_STORAGE",
    metavar="URL",
    help="Database, as an SQLAlchemy URL.  [default: OPTUNA_STORAGE, or sqlite:///nas_sens.db]",
)
storage_options = _options(
    storage_option,
    click.option(
        "--artifacts",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for trained weights.  [default: beside the SQLite file]",
    ),
)
format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="How to print on stdout.",
)  # fmt: skip
run_options = _options(
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    click.option("-v", "--verbose", is_flag=True, help="A line on stderr for every candidate scored or trained."),
)
study_options = _options(
    click.option("--n-candidates", type=click.IntRange(min=1), help="Override [search] n_candidates."),
    click.option("--seed", type=click.IntRange(min=0), help="Override [search] seed."),
    click.option("--name", help="Override the study's name."),
    click.option("--full", is_flag=True, help="Take the study at the full size that its file declares in [full]."),
)
