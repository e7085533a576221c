"""``nas-sens``: the group of commands, and exit codes."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from ..core.errors import InvalidInputError, NasSensError
from ..core.interrupts import INTERRUPTED, raise_again, second_ends_process

# Command to where it is and what it does: its libraries are imported when it runs, and for ``--help`` none are.
_COMMANDS = {
    "data": ("data_command:data", "Show what is read of data: columns, classes, parts."),
    "dashboard": ("result_commands:dashboard", "Show all studies in optuna-dashboard, until Ctrl-C."),
    "export": ("result_commands:export", "Write a trained network to a folder, ready for use."),
    "list": ("inspect_commands:list_", "Show what there is: studies, spaces, metrics, data, …"),
    "measure": ("inspect_commands:measure", "Measure any network by any metric."),
    "migrate": ("migrate_command:migrate", "Make one study of the two of an earlier version."),
    "rank": ("result_commands:rank", "Show the candidates of a study, best first."),
    "replay": ("inspect_commands:replay", "Replay selection rules where outcomes are known."),
    "report": ("result_commands:report", "Write the report of a study: one HTML file."),
    "score": ("run_commands:score", "Sample and score candidates without training any."),
    "search": ("run_commands:search", "Sample, score, select, train and report a study."),
    "status": ("status_command:status", "Show how far a study is: scored, waiting, running, done."),
    "train": ("run_commands:train", "Train the next selected candidates of a study."),
    "worker": ("run_commands:worker", "Join the work on a study from any machine."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nas-sens", prog_name="nas-sens")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Neural architecture search by pre-training output sensitivity.

    Start with:  nas-sens search quickstart

    A STUDY is a TOML file or a bundled name (nas-sens list studies). It is kept in a database under its NAME, where
    every command finds it again. Data go to stdout, progress and messages to stderr.
    """


def _without_password(text: str, given: Sequence[str]) -> str:
    """Return a text without the passwords of the storage URLs of the command line and the environment."""
    from ..storage.url import redact  # imports SQLAlchemy, which --help does without

    urls = [os.environ.get("OPTUNA_STORAGE", ""), *(a.removeprefix("--storage=") for a in given)]
    return functools.reduce(redact, (u for u in urls if "://" in u), text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 1 other errors, 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given[:1]
    # When Python ends, it looks for garbage among all that the libraries made, for half a second and more.
    atexit.register(gc.freeze)
    try:
        with raise_again(), second_ends_process():
            code = cli.main(args=given, prog_name="nas-sens", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was finished is kept, run the same command again to go on", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except NasSensError as error:
        if debug:
            raise
        click.echo(f"nas-sens: error: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except Exception as error:
        if debug:
            raise
        text = _without_password(str(error).strip().partition("\n")[0], given)
        click.echo(f"nas-sens: error: {type(error).__name__}: {text}; nas-sens --debug … shows where", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
