"""What a trained classifier takes for what on the validation set, as a small file beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pydantic import NonNegativeInt, TypeAdapter

from .boundary import reading
from .errors import StorageError

FILENAME = "mistakes.json"
MOST_CLASSES = 44  # whose confusion matrix has not more than 2,000 numbers
MOST_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One input that is taken for something else.

    Attributes:
        row: Its place in the validation set, from 0.
        true: Its class.
        taken_for: The class that the network says.
        certainty: The probability that the network gives to that class.
        picture: The input as a PNG file in base64; "" where inputs are no pictures.
    """

    row: NonNegativeInt
    true: NonNegativeInt
    taken_for: NonNegativeInt
    certainty: float
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """What one trained network makes of the validation set.

    Attributes:
        confusion: How many inputs of each class (row) are taken for each class (column); square.
        class_names: Names of the classes; empty where labels are only numbers.
        most_certain: Wrong predictions, the most certain first.
    """

    confusion: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...]
    most_certain: tuple[Mistake, ...]

    @property
    def n_inputs(self) -> int:
        """Number of validation inputs."""
        return sum(map(sum, self.confusion))

    @property
    def n_wrong(self) -> int:
        """Number of wrong predictions."""
        return self.n_inputs - sum(row[i] for i, row in enumerate(self.confusion))

    def name_of(self, label: int) -> str:
        """Return what a class is called."""
        return self.class_names[label] if self.class_names else str(label)

    def to_json(self) -> str:
        """Return them as text."""
        return json.dumps(asdict(self), separators=(",", ":"))


def from_json(text: str, *, what: str) -> Mistakes:
    """Return what :meth:`Mistakes.to_json` wrote.

    Args:
        text: The text.
        what: What it is, for messages.

    Raises:
        StorageError: It is something else.
    """
    with reading(f"{what} cannot be read", kind=StorageError):
        found = TypeAdapter(Mistakes).validate_json(text)
    n, names = len(found.confusion), found.class_names
    labels = [label for m in found.most_certain for label in (m.true, m.taken_for)]
    if any(len(row) != n for row in found.confusion) or len(names) not in (0, n) or any(i >= n for i in labels):
        raise StorageError(f"{what} cannot be read: its {n} classes do not go with each other")
    return found
