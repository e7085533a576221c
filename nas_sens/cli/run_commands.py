"""Commands that search, score and train."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InvalidInputError
from ..core.secrets import hide_password
from ..core.torchrun import is_torchrun
from ..results.report_file import check_report_file, report_path
from ..results.search_result import read_result
from ..storage.url import storage_url
from .completion import data_sets
from .display import TerminalProgress
from .options import (
    devices_option,
    format_option,
    grace_option,
    max_trials_option,
    name_argument,
    run_options,
    storage_options,
    study_argument,
    study_options,
    workers_options,
)
from .output import open_storage, show_answer, show_scored, show_trained, title_of, write_report_of

if TYPE_CHECKING:
    from ..pipeline.workers import Workers

MORE = 75  # the exit code of a worker that ended as it was told to, though something is left


@click.command()
@study_argument
@study_options
@click.option("--top-k", type=click.IntRange(min=1), help="Override [select] top_k.")
@click.option("-o", "--report", type=click.Path(path_type=Path), help="The report's file: a new one, or an earlier"
              " report of the study.  [default: NAME_report.html]")  # fmt: skip
@workers_options
@storage_options
@run_options
@format_option
def search(study: str, n_candidates: int | None, seed: int | None, name: str | None, full: bool, top_k: int | None,
           report: Path | None, storage: str | None, artifacts: str | None, device: str, quiet: bool, verbose: bool,
           form: str, grace: float, **who: Any) -> None:  # fmt: skip
    """Sample, score, select, train and report a STUDY; run it again to resume it.

    With --workers N several processes score and train. A rule that learns then chooses whenever a worker is idle,
    instead of in rounds. Others may join from any machine: nas-sens worker NAME --storage URL.
    """
    from ..pipeline.declare import declare
    from ..pipeline.search import complete, open_study
    from ..pipeline.settings import Settings
    from ..pipeline.team import leading

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    spec = declare(study, full=full, n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    workers = workers_of(**who)
    check_report_file(report or report_path(spec.name), spec.name)  # before hours of work
    with leading(devices_of(who, workers), device) as team:
        session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress,
                             settings=Settings(grace_seconds=grace, team=team),
                             is_shared=workers is not None or team is not None, will_train=True)  # fmt: skip
        complete(session, workers, device=device, artifacts=artifacts)
    result = read_result(session.storage, spec.name)
    path = write_report_of(result, report, session.storage)
    show_trained(result.trials, form, title_of(result), by=result.ranked_by)
    show_answer(result, form, more=storage_again(storage))
    progress.message(f"report written to {path}")
    rest, shown_name, size = storage_again(storage), quote(spec.name), ["--full"] if full else []
    renamed = [] if name is None else ["--name", name]
    again = (f"refine {shown_name} --finalists 3{rest}", "train the best three again: chance chose, too")
    by_error = (f"rank {shown_name} --by val_error{rest}", "rank by error instead of loss")
    more = f"search {join([study, *size, *renamed, '--top-k', str(spec.select.top_k + 4)])}{rest}"
    show_next(
        progress,
        (f"export {shown_name} --rank 1 -o my_network{rest}", "the best network, ready to use"),
        *([again] if spec.train.table is None else []),
        *([by_error] if spec.train.trainer is None else []),  # others have figures of their own
        *([(more, "train four more")] if spec.select.stop_gain is None else []),  # it may have stopped before top_k
    )


def storage_again(storage: str | None) -> str:
    """Return the option by which the next command finds the same database."""
    return "" if storage is None else f" --storage {quote(hide_password(storage))}"


def show_next(progress: TerminalProgress, *commands: tuple[str, str]) -> None:
    """Show what may be run next.

    Args:
        progress: Where.
        commands: Arguments of nas-sens, quoted for a shell, with a remark or "".
    """
    width = max(len(arguments) for arguments, _ in commands)
    progress.lines(["", "next:", *(f"  nas-sens {a:<{width}}{f'   # {r}' if r else ''}".rstrip() for a, r in commands)])


def devices_of(who: Mapping[str, Any], workers: Workers | None) -> int:
    """Return how many devices this process trains one network on: one, where workers train."""
    return 1 if workers is not None else int(who["devices_per_training"])


def workers_of(
    workers: int | None,
    engine: str,
    gpus_per_worker: float,
    devices_per_training: int,
    max_trials_per_worker: int | None,
    engine_arguments: Sequence[str],
) -> Workers | None:
    """Return who does the work; None for this process alone.

    Raises:
        InvalidInputError: ``torchrun`` started several processes already.
    """
    from ..pipeline.workers import Workers

    if workers is None and engine == "local":
        return None
    if is_torchrun():
        raise InvalidInputError(
            "torchrun starts the processes of one training, --workers those that train several; for both at once give "
            "--workers N --devices-per-training M without torchrun"
        )
    return Workers(
        n=workers or 1,
        engine=engine,
        gpus_per_worker=gpus_per_worker,
        max_trainings=max_trials_per_worker,
        devices_per_training=devices_per_training,
        extra=tuple(engine_arguments),
    )


@click.command()
@study_argument
@study_options
@storage_options
@run_options
@format_option
def score(study: str, n_candidates: int | None, seed: int | None, name: str | None, full: bool, storage: str | None,
          artifacts: str | None, device: str, quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Sample and score the candidates of a STUDY without training any."""
    from ..pipeline.declare import declare
    from ..pipeline.score_stage import score_candidates
    from ..pipeline.search import open_study

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    spec = declare(study, full=full, n_candidates=n_candidates, seed=seed, name=name)
    session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    score_candidates(session)
    show_scored(read_result(session.storage, spec.name), form)
    show_next(progress, (f"train {quote(spec.name)}{storage_again(storage)}", ""))


@click.command()
@name_argument
@click.option("--top-k", type=click.IntRange(min=1), help="Train until so many are selected by the rule.")
@click.option("--control", type=click.IntRange(min=0), help="Train until so many random ones are trained.")
@workers_options
@storage_options
@run_options
@format_option
def train(name: str, top_k: int | None, control: int | None, storage: str | None, artifacts: str | None, device: str,
          quiet: bool, verbose: bool, form: str, grace: float, **who: Any) -> None:  # fmt: skip
    """Train the next selected candidates of the study NAME, whose candidates are scored."""
    from ..pipeline.declare import declare
    from ..pipeline.search import open_study, train_all
    from ..pipeline.settings import Settings
    from ..pipeline.team import leading
    from ..pipeline.worker import stored_spec

    database = open_storage(storage, artifacts)
    spec = declare(stored_spec(database, name), top_k=top_k, control=control)
    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    workers = workers_of(**who)
    with leading(devices_of(who, workers), device) as team:
        session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress,
                             settings=Settings(grace_seconds=grace, team=team),
                             is_shared=workers is not None or team is not None)  # fmt: skip
        train_all(session, workers, device=device, artifacts=artifacts)
    result = read_result(session.storage, name)
    show_trained(result.trials, form, title_of(result), by=result.ranked_by)
    show_answer(result, form, more=storage_again(storage))


@click.command()
@name_argument
@click.option("--data", metavar="NAME", shell_complete=data_sets,
              help="Where the study's data lie on this machine, if not where it says; such as"
              " folder:/data/photos.")  # fmt: skip
@devices_option
@max_trials_option
@grace_option
@storage_options
@run_options
def worker(name: str, data: str | None, devices_per_training: int, max_trials_per_worker: int | None, grace: float,
           storage: str | None, artifacts: str | None, device: str, quiet: bool,
           verbose: bool) -> None:  # fmt: skip
    """Join the work on the study NAME, which a search has begun, from this or any other machine.

    It scores and trains what is left, beside all others, and ends when nothing is; with exit code 75 if it ended after
    as many trainings as it may do.
    """
    from ..pipeline.worker import work

    is_done = work(
        worker=None,
        device=device,
        n_threads=None,
        name=name,
        storage=storage_url(storage),
        artifacts=artifacts,
        data=data,
        max_trainings=max_trials_per_worker,
        devices_per_training=devices_per_training,
        grace_seconds=grace,
        progress=TerminalProgress(quiet=quiet, verbose=verbose),
    )
    sys.exit(0 if is_done else MORE)
