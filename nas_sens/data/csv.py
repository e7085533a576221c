"""csv:PATH: a table of your own with a header line; target names the column to predict, classes or a quantity."""

from __future__ import annotations

from ..core.csv_reader import read_csv
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
    source = f"csv:{options.argument}"
    frame = read_csv(options.argument, source=source, low_memory=False)
    return table_samples(encode_table([frame], options, source=source), source=source)
