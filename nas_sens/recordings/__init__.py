"""Records of trained networks, one kind per file: small arrays that ``[train] recordings`` keeps beside numbers."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.errors import InvalidInputError
from ..core.registry import registry_of
from ..data import Splits
from ._recording import Recorded, Recording

__all__ = ["MOST_NUMBERS", "RECORDINGS", "Recorded", "Recording", "check_records", "recordings"]

MOST_NUMBERS = 2_000  # of one record at one epoch: some 25 kB in the database


RECORDINGS = registry_of("recording", Recording, package=__name__, group="recordings", attribute="RECORDING")


def recordings() -> dict[str, Recording]:
    """Return every kind of recording by name: the ``RECORDING`` of each module of this package.

    Those of the entry-point group ``nas_sens.recordings``, and those that are registered in this process, are among
    them.
    """
    return RECORDINGS.table()


def check_records(names: Iterable[str], splits: Splits, *, n_inputs: int) -> None:
    """Check that records can be taken of data, and are small.

    Args:
        names: The records.
        splits: The data.
        n_inputs: Of how many inputs they are taken.

    Raises:
        InvalidInputError: The data lack what a record needs, or a record may hold more than ``MOST_NUMBERS`` numbers.
    """
    for name in names:
        recording = recordings()[name]
        if lacks := recording.requirement(splits):
            raise InvalidInputError(f"record {name!r} in [train] needs {lacks}; given data {splits.name!r}; remove it")
        size = recording.size(n_inputs, splits)
        if size > MOST_NUMBERS:
            raise InvalidInputError(
                f"record {name!r} in [train] may hold {MOST_NUMBERS:,} numbers; with recording_inputs = {n_inputs} it "
                f"would hold {size:,}; lower recording_inputs"
            )
