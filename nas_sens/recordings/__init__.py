"""Records of trained networks, one kind per file: small arrays that ``[train] record`` keeps beside numbers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import lru_cache

from ..data import Splits
from ..errors import InvalidInputError
from ._recording import Recorded, Recording

__all__ = ["MOST_NUMBERS", "Recorded", "Recording", "check_records", "recordings"]

MOST_NUMBERS = 2_000  # of one record at one epoch: some 25 kB in the database


@lru_cache(maxsize=1)
def recordings() -> dict[str, Recording]:
    """Return every kind of record by name: the ``RECORDING`` of each module of this package."""
    modules = [importlib.import_module(f"{__name__}.{i.name}") for i in pkgutil.iter_modules(__path__)]
    found = [m.RECORDING for m in modules if isinstance(getattr(m, "RECORDING", None), Recording)]
    return {recording.name: recording for recording in sorted(found, key=lambda r: r.name)}


def check_records(names: Iterable[str], splits: Splits, *, n_inputs: int) -> None:
    """Raise an InvalidInputError unless records can be taken of data, and are small.

    Args:
        names: The records.
        splits: The data.
        n_inputs: Of how many inputs they are taken.
    """
    for name in names:
        recording = recordings()[name]
        if lacks := recording.requirement(splits):
            raise InvalidInputError(f"record {name!r} in [train] needs {lacks}; given data {splits.name!r}; remove it")
        size = recording.size(n_inputs, splits)
        if size > MOST_NUMBERS:
            raise InvalidInputError(
                f"record {name!r} in [train] may hold {MOST_NUMBERS:,} numbers; with record_inputs = {n_inputs} it "
                f"would hold {size:,}; lower record_inputs"
            )
