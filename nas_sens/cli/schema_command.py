"""The command that prints the JSON schemas by which editors complete and check TOML files."""

from __future__ import annotations

import json

import click

from .display import print_out


@click.command()
@click.argument("what", type=click.Choice(["study", "search_space"]))
def schema(what: str) -> None:
    """Print the JSON schema of the files of studies or search spaces, for editors.

    Taplo and Even Better TOML take the one that the first line of a file names:  #:schema PATH_OR_URL
    """
    from ..study.json_schema import schemas

    print_out(json.dumps(schemas()[what], indent=2, ensure_ascii=False))
