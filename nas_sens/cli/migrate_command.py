"""The command that brings studies of an earlier nas_sens up to date."""

from __future__ import annotations

import click

from ..core.errors import InvalidInputError, first_line
from ..core.secrets import redact
from ..storage.study_storage import StudyStorage
from .display import print_out
from .options import storage_option
from .output import open_storage


@click.command()
@click.argument("name", required=False)
@click.option("--all", "is_all", is_flag=True, help="Migrate all studies of an earlier nas_sens.")
@click.option("--without-trainings", is_flag=True, help="Go without NAME/train, where that is lost or another study.")
@storage_option
def migrate(name: str | None, is_all: bool, without_trainings: bool, storage: str | None) -> None:
    """Make one study of the two in which an earlier nas_sens kept the study NAME.

    That were NAME and NAME/train. Everything is kept: numbers of candidates, files of trained networks, notes that you
    wrote. Numbers of trainings go on behind the candidates'. Stop older nas_sens processes first. Killed at any moment,
    it leaves both studies as they were.
    """
    if (name is None) != is_all or (is_all and without_trainings):
        raise InvalidInputError("give one NAME, or --all without anything else")
    database = open_storage(storage, None)
    if name is not None:
        _migrate(database, name, without_trainings=without_trainings)
        return
    refused = 0
    names = database.earlier_names()
    for earlier in names:
        try:
            _migrate(database, earlier)
        except InvalidInputError as error:
            refused += 1
            click.echo(f"{earlier}: {error}", err=True)
    if refused:
        raise InvalidInputError(f"{refused} of {len(names)} studies are as they were, for the reasons above")
    if not names:
        print_out(f"no study in {database.shown_url} is of an earlier nas_sens")


def _migrate(database: StudyStorage, name: str, *, without_trainings: bool = False) -> None:
    from ..dashboard.merged_notes import merged_attributes
    from ..dashboard.notes import annotate
    from ..storage.migration import migrate as migrate_study

    found = migrate_study(database, name, merged=merged_attributes, without_trainings=without_trainings)
    if found is None:
        print_out(f"the study {name!r} is one already")
        return
    others = f"; {found.others} trials that nas_sens did not write are as they were" if found.others else ""
    print_out(f"the study {name!r} is one now: candidates: {found.candidates}, trainings: {found.trainings}{others}")
    try:
        annotate(database, name)
    except Exception as error:  # a study is worth more than its description
        text = redact(first_line(error), database.url)
        click.echo(f"the notes for the dashboard could not be written: {text}", err=True)
