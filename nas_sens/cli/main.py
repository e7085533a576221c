"""``nas-sens``: the group of commands, and exit codes."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ..core.boundary import reason
from ..core.errors import InvalidInputError, NasSensError, UserCodeError, first_line
from ..core.interrupts import INTERRUPTED, raise_again, second_ends_process
from ..core.messages import one_line, shown
from ..core.secrets import hidden_passwords
from ..core.torchrun import is_led

# Command to where it is and what it does: its libraries are imported when it runs, and for ``--help`` none are.
_COMMANDS = {
    "cache": ("cache_command:cache", "Show or clear what is kept of pictures on this machine."),
    "data": ("data_command:data", "Show what is read of data: columns, classes, parts."),
    "dashboard": ("result_commands:dashboard", "Show all studies in optuna-dashboard, until Ctrl-C."),
    "doctor": ("doctor_command:doctor", "Check device, database, artifacts and versions here."),
    "export": ("result_commands:export", "Write a trained network to a folder, ready for use."),
    "help": ("help_command:help_", "Show what there is to know of a key, metric, family, …"),
    "init": ("init_command:init", "Write a study for your data and the time that you have."),
    "list": ("inspect_commands:list_", "Show what there is: studies, spaces, metrics, data, …"),
    "measure": ("inspect_commands:measure", "Measure any network by any metric."),
    "migrate": ("migrate_command:migrate", "Make one study of the two of an earlier version."),
    "predict": ("predict_command:predict", "Predict by an exported network for pictures or tables."),
    "rank": ("result_commands:rank", "Show the candidates of a study, best first."),
    "refine": ("refine_command:refine", "Train the best networks of a study on, with fresh seeds."),
    "replay": ("inspect_commands:replay", "Replay selection rules where outcomes are known."),
    "report": ("result_commands:report", "Write the report of a study: one HTML file."),
    "schema": ("schema_command:schema", "Print the JSON schema of study files, for editors."),
    "score": ("run_commands:score", "Sample and score candidates without training any."),
    "search": ("run_commands:search", "Sample, score, select, train and report a study."),
    "status": ("status_command:status", "Show how far a study is: scored, waiting, running, done."),
    "train": ("run_commands:train", "Train the next selected candidates of a study."),
    "worker": ("run_commands:worker", "Join the work on a study from any machine."),
}

_LONGEST_WITH_HINT = 900  # characters; a message is one line that can be read


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
    or, for your data:  nas-sens init --data csv:FILE --target COLUMN --minutes 10

    A STUDY is a TOML file or a bundled name (nas-sens list studies). It is kept in a database under its NAME, where
    every command finds it again. Data go to stdout, progress and messages to stderr.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 1 other errors, 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # When Python ends, it looks for garbage among all that the libraries made, for half a second and more.
    atexit.register(gc.freeze)
    with hidden_passwords(given):
        sys.exit(_run(given))


def _run(given: list[str]) -> int:
    """Return the exit code of a command, whose errors are told in one line."""
    is_debug = "--debug" in given[:1]
    try:
        _check_text(given)
        if is_led():  # by the process of rank 0, which alone does what the arguments say
            return int(importlib.import_module("nas_sens.pipeline.team_member").follow_torchrun())
        with raise_again(), second_ends_process():
            code = cli.main(args=given, prog_name="nas-sens", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        usage = "" if context is None else context.get_usage() + "\n"
        command = None if context is None else context.info_name
        help_ = f" (nas-sens help {command})" if command in _COMMANDS else ""
        return _fail(f"{usage}Error: {one_line(error.format_message())}{help_}", 2, is_debug=False)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted; what was finished is kept, run the same command again to go on", INTERRUPTED, is_debug=False
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except NasSensError as error:
        if isinstance(error, UserCodeError) and not is_debug:
            click.echo(error.traceback, err=True)
        code = 2 if isinstance(error, InvalidInputError) else 1
        return _fail(f"nas-sens: error: {error}{_reading(error, given)}", code, is_debug=is_debug)
    except (OSError, MemoryError) as error:  # a full disk, say, which is nobody's fault
        where = getattr(error, "filename", None)
        text = reason(error) if where is None else f"{reason(error)}: {shown(where)}"
        return _fail(f"nas-sens: error: {one_line(text)}", 1, is_debug=is_debug)
    except Exception as error:
        text = one_line(f"{type(error).__name__}: {first_line(error)}")
        more = "" if is_debug else "; nas-sens --debug … shows where"
        return _fail(f"nas-sens: error: this is a fault of nas_sens: {text[:800]}{more}", 1, is_debug=is_debug)


def _fail(text: str, code: int, *, is_debug: bool) -> int:
    """Return an exit code, having told why; with the traceback of the present exception if that is wanted."""
    click.echo(traceback.format_exc() + text if is_debug else text, err=True)
    return code


def _reading(error: NasSensError, given: Sequence[str]) -> str:
    """Return where to read more, in brackets behind a message; "" where nothing helps, or no room is left."""
    from .topics import where_to_read

    if len(str(error)) > _LONGEST_WITH_HINT:
        return ""

    command = next((a for a in given if a in _COMMANDS), None)
    where = where_to_read(error, None if command == "help" else command)
    return f" ({where})" if where else ""


def _check_text(given: Sequence[str]) -> None:
    """Check that arguments are text, which databases, files of settings and terminals can take.

    Raises:
        InvalidInputError: One has a NUL character, or bytes that are no UTF-8.
    """
    for argument in given:
        if "\0" in argument or not _is_encodable(argument):
            raise InvalidInputError(
                f"arguments must be text in UTF-8 without NUL characters; given {shown(argument)}; a file of such a "
                "name has to be renamed"
            )


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    main()
