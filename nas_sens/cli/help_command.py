"""The command that shows what there is to read of a part of a study, a family, a metric or a data set."""

from __future__ import annotations

import click

from ..core.errors import InvalidInputError
from .completion import help_topics
from .display import print_out


@click.command(name="help")
@click.argument("topic", shell_complete=help_topics)
def help_(topic: str) -> None:
    """Show what there is to know of TOPIC: a table of a study's file, a family, a metric, a data set, a rule.

    Tables are study, data, score, search, select, train, figures, search_space and constraints; the name of a command
    shows its --help.
    """
    from ..core.declarations import nearest
    from .main import cli
    from .topics import text_of, topic_names

    context = click.get_current_context()
    if (command := cli.get_command(context, topic)) is not None and topic not in topic_names():
        print_out(command.get_help(click.Context(command, info_name=topic, parent=context.parent)))
        return
    if (text := text_of(topic)) is None:
        raise InvalidInputError(f"there is no help on {topic!r}; {nearest(topic, topic_names())}")
    print_out(text)
