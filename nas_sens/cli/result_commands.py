"""Commands that show and hand out what a study found."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..core.errors import InvalidInputError
from ..core.figures import RANK_BY, Direction
from ..results.search_result import read_result
from ..storage.bulk_read import no_collection
from .completion import data_sets, stored_studies
from .display import print_out
from .options import format_option, name_argument, optuna_option, storage_options
from .output import open_storage, result_of_optuna, show_scored, show_trained, title_of, write_report_of


@click.command()
@name_argument
@click.option("--by", metavar="FIGURE",
              help=f"Figure to rank by: {', '.join(RANK_BY)}, or one of the study's own trainer.  "
                   "[default: the study's [select] final]")  # fmt: skip
@click.option("--direction", type=click.Choice(["minimize", "maximize"]),
              help="Which way a figure of the study's own trainer or objective goes.")  # fmt: skip
@click.option("--scored", is_flag=True, help="Show the scored candidates instead of the trained ones.")
@click.option("-n", type=click.IntRange(min=1), help="Show only the first so many.")
@click.option("--full-names", is_flag=True, help="Show what architectures are in full, however wide.")
@optuna_option
@storage_options
@format_option
def rank(name: str, by: str | None, direction: Direction | None, scored: bool, n: int | None, full_names: bool,
         is_optuna: bool, storage: str | None, artifacts: str | None, form: str) -> None:  # fmt: skip
    """Show the trained candidates of the study NAME, best first, or the scored ones if none is trained."""
    if is_optuna:
        result = result_of_optuna(name, storage, by=by, direction=direction)
    else:
        result = read_result(open_storage(storage, artifacts), name, by=by, direction=direction)
    if scored or not result.trials:
        show_scored(result, form, n, full_names=full_names)
    else:
        show_trained(result.trials[:n], form, title_of(result), by=result.ranked_by, full_names=full_names)


@click.command()
@name_argument
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The HTML file to write: new, or the study's earlier one.  [default: NAME_report.html]")  # fmt: skip
@click.option("--by", metavar="OBJECTIVE", help="With --optuna: which of several objectives decides.")
@optuna_option
@storage_options
def report(name: str, output: Path | None, by: str | None, is_optuna: bool, storage: str | None,
           artifacts: str | None) -> None:  # fmt: skip
    """Write the report of the study NAME: one HTML file that needs nothing else."""
    if is_optuna:
        print_out(str(write_report_of(result_of_optuna(name, storage, by=by), output)))
        return
    if by is not None:
        raise InvalidInputError("--by needs --optuna: what a study is ranked by in its report is its [select] final")
    database = open_storage(storage, artifacts)
    with no_collection():  # of a large study there are a million objects to look through, and none is garbage
        print_out(str(write_report_of(read_result(database, name), output, database)))


@click.command()
@name_argument
@click.option("--rank", "rank_", type=click.IntRange(min=1), default=1, show_default=True,
              help="Place in the study's ranking.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--onnx", is_flag=True, help="Write model.onnx too; needs the extra nas-sens[onnx].")
@click.option(
    "--with-preprocessing",
    is_flag=True,
    help="Write programs, too, that take pictures of any size as decoders"
    " give them (uint8, channels last): model_from_pixels.pt2, with --onnx also model_from_pixels.onnx.",
)
@click.option("--int8", is_flag=True, help="Write model_int8.onnx, too, by ONNX Runtime's quantiser, and say what it"
              " loses on the study's validation and test set.")  # fmt: skip
@click.option("--data", metavar="NAME", shell_complete=data_sets,
              help="For --int8: where the study's data lie on this machine, if not where it"
              " says; such as folder:/data/photos.")  # fmt: skip
@click.option("--license", "licence", default="unknown", show_default=True, help="Licence field of the model card.")
@storage_options
def export(name: str, rank_: int, output: Path, onnx: bool, with_preprocessing: bool, int8: bool,
           data: str | None, licence: str, storage: str | None,
           artifacts: str | None) -> None:  # fmt: skip
    """Write a trained network of the study NAME to a folder, ready for use.

    Load it with  torch.export.load("FOLDER/model.pt2").module()  where nas_sens is not installed, with
    nas_sens.load_model("FOLDER"), or, once nas_sens is imported, with
    timm.create_model("local-dir:FOLDER", pretrained=True). FOLDER/README.md is the model card, which says how inputs
    are prepared; FOLDER/config.json says it in timm's words, and  nas-sens predict FOLDER photo.jpg  does it.
    """
    from ..models.trained import export_model

    database = open_storage(storage, artifacts)
    if data is not None and not int8:
        raise InvalidInputError("--data needs --int8: nothing else of an export reads the data; leave it out")
    folder = export_model(database, name, output, rank=rank_, onnx=onnx, with_preprocessing=with_preprocessing,
                          int8=int8, data=data, on_int8=lambda line: click.echo(line, err=True),
                          licence=licence)  # fmt: skip
    print_out(str(folder))


@click.command()
@click.argument("name", required=False, shell_complete=stored_studies)
@click.option("--port", type=click.IntRange(0, 65535),
              help="Port, 0 for any free one.  [default: 8080, else a free one]")  # fmt: skip
@click.option("--host", metavar="ADDRESS", help="Listen on this address, which others may reach, and let in whoever has"
              " the token that is printed with the URL.  [default: 127.0.0.1, without a token]")  # fmt: skip
@storage_options
def dashboard(name: str | None, port: int | None, host: str | None, storage: str | None, artifacts: str | None) -> None:
    """Show all studies in optuna-dashboard until Ctrl-C, on this machine only unless --host says otherwise.

    The address is printed on stdout, that of the note of the study NAME, or of the only one: its answer, its best
    networks, how to read the rest. No browser is opened. Pages of other sites can neither read nor change anything
    through your browser. Whoever can log in on this machine can; --host 127.0.0.1 asks them for the token, too. Nothing
    is encrypted: from afar an SSH tunnel (ssh -L 8080:127.0.0.1:8080 MACHINE) is better than --host.
    """
    from ..dashboard.server import serve  # brings a web server along, which no other command needs

    def on_ready(url: str) -> None:
        print_out(url)
        sys.stdout.flush()
        click.echo("listening; Ctrl-C stops it", err=True)

    serve(open_storage(storage, artifacts), port=port, on_ready=on_ready, host=host, name=name)
