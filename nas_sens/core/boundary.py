"""The boundary to libraries: what one raises on what a user gave becomes our error, which names what was given.

What our own code raises is let through: that is a fault of nas_sens, and shows itself as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InvalidInputError, NasSensError, first_line

_PACKAGE = str(Path(__file__).parents[1])
# Raised by Python itself, in the frame of whoever calls it, for what the surroundings are like.
_OF_SURROUNDINGS = (OSError, EOFError, UnicodeError, MemoryError, RecursionError)


@contextmanager
def reading(what: str, *, advice: str = "", kind: type[NasSensError] = InvalidInputError) -> Iterator[None]:
    """Turn what a library raises in the ``with`` block into an error of ours.

    Args:
        what: What is read, and what it must be: "data.csv cannot be read as a table", say.
        advice: What to do about it.
        kind: The error's class.

    Raises:
        NasSensError: A library failed, or the system; errors of ours are let through.
        Exception: What our own code raises is let through, too.
    """
    try:
        yield
    except NasSensError:
        raise
    except Exception as error:
        if not is_foreign(error):
            raise
        raise kind(f"{what}: {reason(error)}" + (f"; {advice}" if advice else "")) from error


def is_foreign(error: BaseException) -> bool:
    """Return whether a library or the system raised an error, and not the code of this package."""
    if isinstance(error, _OF_SURROUNDINGS):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or not trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def reason(error: BaseException) -> str:
    """Return why a library failed, in a few words that make sense without a traceback."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    if isinstance(error, UnicodeDecodeError):
        return f"the text is not {error.encoding}; save it as UTF-8, or say its encoding"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"{first_line(error)} is missing"
    return first_line(error)
