"""The one reader of CSV files: pandas', with one line for whatever it finds wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidInputError, first_line

if TYPE_CHECKING:
    import pandas as pd


def read_csv(path: str | Path, *, source: str, **options: Any) -> pd.DataFrame:
    """Return a CSV file, plain or compressed (``.gz``, …), as a frame.

    Args:
        path: The file.
        source: How it is called in messages.
        options: Of ``pandas.read_csv``.

    Raises:
        InvalidInputError: It cannot be read.
    """
    import pandas as pd  # takes half a second, and few commands need it

    try:
        return pd.read_csv(Path(path).expanduser(), **options)
    except pd.errors.EmptyDataError as error:
        raise InvalidInputError(f"{source}: a header line and at least one row are required; it is empty") from error
    except (OSError, EOFError, ValueError) as error:  # pandas' ParserError is a ValueError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise InvalidInputError(f"{source}: cannot be read as a table of comma-separated values: {reason}") from error
