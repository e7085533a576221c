"""Errors that nas_sens raises: one root, few children."""

from __future__ import annotations

from .messages import one_line


class NasSensError(Exception):
    """Root of every error that nas_sens raises on purpose; its text is one line that can be shown as it is."""

    def __str__(self) -> str:
        """Return the message in one line of at most 960 characters, as `messages.one_line` makes it."""
        return one_line(super().__str__())


class InvalidInputError(NasSensError, ValueError):
    """What the user gave cannot be used; the message says what was required, what was given and what to do."""


class UserCodeError(InvalidInputError):
    """Code of the user's own fails whenever it is called.

    Args:
        text: What was required, what happened and what to do.
        traceback: Where it failed, many lines.
    """

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


class InfeasibleArchitectureError(NasSensError):
    """An architecture cannot exist for this input, for example a kernel larger than its feature map."""


class OutOfMemoryError(NasSensError):
    """Something does not fit in memory, on the device or on the CPU."""


class WorkerError(NasSensError):
    """The workers of a search were lost again and again."""


class StorageError(NasSensError):
    """A database or an artifact could not be read or written (locked, read-only, missing, corrupt)."""


def first_line(error: BaseException) -> str:
    """Return what an error of a library says in one line: its first, or its name if it says nothing."""
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    lines = str(error).strip().splitlines()
    return one_line(lines[0]) if lines else type(error).__name__
