"""The command that writes a commented study for data and a budget of time."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

import click

from ..core.errors import InvalidInputError
from ..core.messages import shown
from .completion import data_sets, search_spaces
from .display import TerminalProgress, print_out
from .options import DEVICE_HELP, Range
from .run_commands import show_next


@click.command()
@click.option("--data", "data_name", required=True, metavar="NAME", shell_complete=data_sets,
              help="A data set (nas-sens list data), such as mnist5k, csv:PATH, folder:PATH, npz:PATH, hf:NAME or "
              "module:function.")  # fmt: skip
@click.option("--minutes", type=Range(min=0.1, max=1e6), default=10.0, show_default=True,
              help="How long the search shall take on this machine.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("study.toml"), show_default=True,
              help="The file to write; one that is there is left alone.")  # fmt: skip
@click.option("--search-space", metavar="NAME", shell_complete=search_spaces,
              help="A search space (nas-sens list spaces) or its file."
              "  [default: one that goes with the data]")  # fmt: skip
@click.option("--target", help="Column to predict, for csv: and hf: data.")
@click.option("--image-size", type=click.IntRange(min=1), help="Pixels to resize images to.  [default: 64 if larger]")
@click.option("--root", default="data", show_default=True, help="Folder of downloaded data sets.")
@click.option("--download", is_flag=True, help="Download a data set into the folder if it is not there.")
@click.option("--device", default="auto", show_default=True, help=DEVICE_HELP)
@click.option("-q", "--quiet", is_flag=True, help="No messages on stderr.")
def init(data_name: str, minutes: float, output: Path, search_space: str | None, target: str | None,
         image_size: int | None, root: str, download: bool, device: str, quiet: bool) -> None:  # fmt: skip
    """Write a commented study for your data that takes about as many minutes as you have.

    A few small networks are scored and trained first, in half a minute or so, to know how fast this machine is.
    """
    check_new(output)
    from .first_study import Wanted, first_study

    progress = TerminalProgress(quiet=quiet)
    progress.message("measuring how long scoring and training take on these data here …")
    wanted = Wanted(
        name=output.stem,
        data=data_name,
        minutes=minutes,
        folder=output.parent,
        search_space=search_space,
        target=target,
        image_size=image_size,
        root=root,
        download=download,
        device=device,
    )
    text, sizes = first_study(wanted)
    write_new(output, text)
    print_out(str(output))
    n = sizes.top_k + sizes.control
    progress.message(
        f"{sizes.n_candidates} candidates, {n} trainings of {sizes.epochs} epochs with {sizes.seeds} seeds: about "
        f"{sizes.seconds / 60:.3g} minutes of {minutes:g}"
    )
    show_next(progress, (f"search {quote(str(output))}{'' if device == 'auto' else f' --device {device}'}", ""))


def check_new(path: Path) -> None:
    """Check that a file can be written and is not there, before anything is measured for it.

    Raises:
        InvalidInputError: It is there, or its folder is not.
    """
    if os.path.lexists(path):
        raise InvalidInputError(f"the file must be new; {shown(str(path))} is there already; name another one with -o")
    if path.suffix != ".toml":
        raise InvalidInputError(f"the file must end in .toml; given {shown(str(path))}; name it so with -o")
    if not path.parent.is_dir():
        raise InvalidInputError(f"the folder {shown(str(path.parent))} does not exist; create it first")


def write_new(path: Path, text: str) -> None:
    """Write a study's file, having checked that it can be read; nothing is left of one that cannot.

    Raises:
        InvalidInputError: The file is there by now, or what it says is no valid study.
    """
    from ..study.load import load_study

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InvalidInputError(
            f"the file must be new; {shown(str(path))} is there by now; name another one"
        ) from error
    try:
        load_study(path)
    except BaseException:
        path.unlink()
        raise
