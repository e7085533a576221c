"""Commands that search, score and train."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..results.search_result import read_result
from ..storage.url import hide_password
from .display import TerminalProgress
from .options import format_option, run_options, storage_options, study_options
from .output import open_storage, show_scored, show_trained, title_of, write_report_of


@click.command()
@click.argument("study")
@study_options
@click.option("--top-k", type=click.IntRange(min=1), help="Override [select] top_k.")
@click.option("-o", "--report", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"),
              show_default=True, help="Where to write the report.")  # fmt: skip
@storage_options
@run_options
@format_option
def search(study: str, n_candidates: int | None, seed: int | None, name: str | None, full: bool, top_k: int | None,
           report: Path, storage: str | None, artifacts: str | None, device: str, quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Sample, score, select, train and report a STUDY; run it again to resume it."""
    from ..pipeline.declare import declare
    from ..pipeline.score_stage import score_candidates
    from ..pipeline.search import open_study
    from ..pipeline.train_stage import train_selected

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    spec = declare(study, full=full, n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    score_candidates(session)
    train_selected(session)
    result = read_result(session.storage, spec.name)
    path = write_report_of(result, report)
    show_trained(result.trials, form, title_of(result))
    where = "" if storage is None else f" --storage '{hide_password(storage)}'"
    progress.message(f"report written to {path}\n\nnext:")
    progress.message(f"  nas-sens export {spec.name} --rank 1 -o my_network{where}   # the best network, ready to use")
    progress.message(f"  nas-sens rank {spec.name} --by val_error{where}             # rank by error instead of loss")
    size = " --full" if full else ""
    progress.message(f"  nas-sens search {study}{size} --top-k {spec.select.top_k + 4}{where}   # train four more")


@click.command()
@click.argument("study")
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
    progress.message(f"\nnext:\n  nas-sens train {spec.name}")


@click.command()
@click.argument("name")
@click.option("--top-k", type=click.IntRange(min=1), help="Train until so many are selected by the rule.")
@click.option("--control", type=click.IntRange(min=0), help="Train until so many random ones are trained.")
@storage_options
@run_options
@format_option
def train(name: str, top_k: int | None, control: int | None, storage: str | None, artifacts: str | None, device: str,
          quiet: bool, verbose: bool,
           form: str) -> None:  # fmt: skip
    """Train the next selected candidates of the study NAME, whose candidates are scored."""
    from ..pipeline.declare import declare
    from ..pipeline.search import open_study
    from ..pipeline.train_stage import train_selected
    from ..study.load import from_dict

    database = open_storage(storage, artifacts)
    stored = from_dict(json.loads(database.attributes(name)["study"]))
    spec = declare(stored, top_k=top_k, control=control)
    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    train_selected(session)
    result = read_result(session.storage, name)
    show_trained(result.trials, form, title_of(result))
