"""``nas-sens refine``: the best networks of a study, trained on."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any, cast

import click

from ..core.errors import InvalidInputError
from ..core.toml_reader import toml_value
from ..results.report_file import check_report_file, report_path
from ..results.search_result import read_result
from .completion import stored_studies
from .display import TerminalProgress
from .options import format_option, run_options, storage_options, workers_options
from .output import open_storage, show_answer, show_trained, title_of, write_report_of
from .run_commands import devices_of, show_next, storage_again, workers_of


@click.command()
@click.argument("source", metavar="NAME", shell_complete=stored_studies)
@click.option("--rank", "rank_", type=click.IntRange(min=1), default=1, show_default=True,
              help="Place in the study's ranking of the first finalist.")  # fmt: skip
@click.option("--finalists", type=click.IntRange(min=1), default=1, show_default=True,
              help="How many, from that place on.")  # fmt: skip
@click.option("--from", "start", type=click.Choice(["weights", "scratch"]), default="scratch", show_default=True,
              help="Begin with the weights of the best training there, or with random ones.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="[train] epochs.  [default: as there]")
@click.option("--seeds", type=click.IntRange(min=1), help="[train] seeds.  [default: as there, but 2 at least]")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE",
              help="Another key, such as train.augmentation=flip, train.schedule=cosine or data.train_samples=all; may"
              " be given several times.")  # fmt: skip
@click.option("--name", help="Name of the new study.  [default: NAME-refined]")
@click.option(
    "-o", "--report", type=click.Path(path_type=Path), help="The report's file.  [default: NAME-refined_report.html]"
)
@workers_options
@storage_options
@run_options
@format_option
def refine(source: str, rank_: int, finalists: int, start: str, epochs: int | None, seeds: int | None,
           values: tuple[str, ...], name: str | None, report: Path | None, grace: float, storage: str | None,
           artifacts: str | None, device: str, quiet: bool, verbose: bool, form: str, **who: Any) -> None:  # fmt: skip
    """Train the best networks of the study NAME on, with fresh seeds, as a study of their own.

    Run again it goes on where it was.

    The best of many results looks better than it is: it was chosen for that. It is said by how much that is expected,
    what came of it, and what remains. The new study ranks, reports and exports like any other.
    """
    from ..pipeline.refine import Wish, refined_study
    from ..pipeline.search import complete, open_study
    from ..pipeline.settings import Settings
    from ..pipeline.team import leading
    from ..study.refine_spec import Start

    progress = TerminalProgress(quiet=quiet, verbose=verbose)
    keys = dict(map(_assigned, values))
    keys |= {k: v for k, v in (("train.epochs", epochs), ("train.seeds", seeds)) if v is not None}
    wish = Wish(rank=rank_, n_finalists=finalists, start=cast("Start", start), name=name, values=keys)
    spec = refined_study(open_storage(storage, artifacts), source, wish)
    workers = workers_of(**who)
    check_report_file(report or report_path(spec.name), spec.name)
    with leading(devices_of(who, workers), device) as team:
        session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress,
                             settings=Settings(grace_seconds=grace, team=team),
                             is_shared=workers is not None or team is not None, will_train=True)  # fmt: skip
        complete(session, workers, device=device, artifacts=artifacts)
    result = read_result(session.storage, spec.name)
    path = write_report_of(result, report, session.storage)
    show_trained(result.trials, form, title_of(result), by=result.ranked_by)
    again = storage_again(storage)
    show_answer(result, form, more=again)
    progress.message(f"report written to {path}")
    show_next(progress, (f"export {quote(spec.name)} --rank 1 -o my_network{again}", "the best network, ready to use"))


def _assigned(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise InvalidInputError(f"--set must be KEY=VALUE, such as train.learning_rate=0.01; given {text!r}")
    return key.strip(), toml_value(value.strip())
