"""Errors that nas_sens raises: one root, few children."""

from __future__ import annotations


class NasSensError(Exception):
    """Root of every error that nas_sens raises on purpose."""


class InvalidInputError(NasSensError, ValueError):
    """What the user gave cannot be used; the message says what was required, what was given and what to do."""


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
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
