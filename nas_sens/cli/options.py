"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..storage.leases import GRACE_SECONDS
from .completion import declared_studies, stored_studies

_LONGEST_SECONDS = 1e9  # 30 years; what is longer is no time that a clock can add


class Range(click.FloatRange):
    """A range of numbers, none of which is NaN; click compares with its ends, which NaN passes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number that a text is."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is no number", param, ctx)
        return float(number)


def seconds_type(least: float) -> Range:
    """Return the type of an option that is a time."""
    return Range(min=least, max=_LONGEST_SECONDS)


DEVICE_HELP = "auto, cpu, cuda, cuda:N, mps, xpu or another accelerator that PyTorch finds."
Command = Callable[..., None]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


name_argument = click.argument("name", shell_complete=stored_studies)
study_argument = click.argument("study", shell_complete=declared_studies)
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
        metavar="PLACE",
        help="Folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX for weights, checkpoints and logs, which the study "
        "remembers.  [default: beside the SQLite file]",
    ),
)
optuna_option = click.option(
    "--optuna", "is_optuna", is_flag=True, help="The study is an Optuna study of your own, into whose trials "
    "nas_sens.optuna.score writes. It is only read; --storage may be journal:PATH, too.",
)  # fmt: skip
format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="How to print on stdout.",
)  # fmt: skip
run_options = _options(
    click.option("--device", default="auto", show_default=True, help=DEVICE_HELP),
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    click.option("-v", "--verbose", is_flag=True, help="A line on stderr for every candidate scored or trained."),
)
study_options = _options(
    click.option("--n-candidates", type=click.IntRange(min=1), help="Override [search] n_candidates."),
    click.option("--seed", type=click.IntRange(min=0), help="Override [search] seed."),
    click.option("--name", help="Override the study's name."),
    click.option("--full", is_flag=True, help="Take the study at the full size that its file declares in [full]."),
)
grace_option = click.option(
    "--grace", type=seconds_type(1.0), default=GRACE_SECONDS, show_default=True, metavar="SECONDS",
    help="Give up a worker that gives no sign of life for so long; its training goes to another one.",
)  # fmt: skip
max_trials_option = click.option(
    "--max-trials-per-worker", type=click.IntRange(min=1), help="End a worker after so many trainings; its memory is"
    " returned, and --workers starts another one in its place.",
)  # fmt: skip
devices_option = click.option(
    "--devices-per-training", type=click.IntRange(min=1, max=1024), default=1, show_default=True, metavar="N",
    help="Train each network on so many devices, by processes that share every batch. torchrun does the same.",
)  # fmt: skip
workers_options = _options(
    click.option("--workers", type=click.IntRange(min=1), help="Work with so many processes: a device each, or a share"
                 " of the cores.  [default: this process alone]"),
    click.option("--engine", default="local", show_default=True, help="What places them: local, ray or slurm."),
    click.option("--gpus-per-worker", type=Range(min=0, max=1024), default=0.0, help="Of ray or slurm."),
    devices_option,
    max_trials_option,
    grace_option,
    click.argument("engine_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS OF THE ENGINE]"),
)  # fmt: skip
