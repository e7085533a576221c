"""csv:PATH: a table of your own with a header line; target names the column to predict, classes or a quantity."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import InvalidInputError
from ._table import encode_table, table_samples
from .samples import LoadOptions, Samples

ARGUMENT = "PATH"
OPTIONS = ("target",)


def load(options: LoadOptions) -> Samples:
    """Return the table's rows: every column but the target is a feature.

    Numbers and truth values are taken as they are; a column of text becomes one 0/1 feature for each of its values, at
    most 50. `_table.is_classification` says how ``task = "auto"`` tells classes from quantities.

    Raises:
        InvalidInputError: The file cannot be read, or a column cannot be used; the message names it.
    """
    import pandas as pd

    source = f"csv:{options.argument}"
    try:
        frame = pd.read_csv(Path(options.argument).expanduser(), low_memory=False)
    except (OSError, ValueError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise InvalidInputError(f"{source}: cannot be read as a table of comma-separated values: {reason}") from error
    return table_samples(encode_table([frame], options, source=source), source=source)
