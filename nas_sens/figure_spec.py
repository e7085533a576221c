"""FigureSpec: a figure that a study declares for its report, in ``[[figures]]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

from .records import EPOCH_CURVES

Kind = Literal["scatter", "paired", "curve", "heat_map"]
LOG10 = "log10_"
_NEEDS = {"scatter": ("x",), "paired": ("pair",), "curve": (), "heat_map": ("x", "colour")}
_HAS = {
    "scatter": ("x", "group", "fit", "diagonal", "predicted"),
    "paired": ("pair", "group"),
    "curve": ("x", "group"),
    "heat_map": ("x", "colour"),
}
KEYS = ("x", "group", "pair", "colour", "fit", "diagonal", "predicted")


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class FigureSpec:
    """A figure of trained networks.

    Quantities are called as in `SearchResult.frame`: ``test_loss``, ``log10_sensitivity_after``, ``params``,
    ``measure_jacobian_norm``, ``training_learning_rate``; ``record_bias_variance_bias`` (the mean of an array);
    further ``family`` and the parameters of architectures (``depth``). ``log10_`` before a name stands for the
    logarithm, ``_gap`` behind that of a measure which is taken on both sets for its value on validation inputs minus
    that on training inputs.

    Args:
        kind: ``scatter`` of y against x with their correlation; ``paired``: y of networks that differ in nothing but
            ``pair``, which has two values, against each other, with the diagonal; ``curve``: y, a measure that is taken
            every so many epochs or ``val_loss``, ``val_error``, ``train_loss``, ``train_error``, against the epoch or,
            as x, another of these at the same epoch; ``heat_map``: mean of ``colour`` over networks by the parameters x
            and y.
        y: Quantity on the vertical axis.
        x: Quantity on the horizontal axis.
        title: Heading of the figure.
        group: Parameter by which points and curves are coloured.
        pair: Parameter that tells the two networks of a pair apart; the smaller value lies on the horizontal axis.
        colour: Quantity that is averaged.
        fit: Whether the line of least squares is drawn.
        diagonal: Whether y = x is drawn.
        where: Parameters and the values that networks must have to be shown.
        max_train_error: Networks with a larger training error are left out; 0 for those that fit all labels.
        predicted: Whether the loss predicted by eq. 9 of forouzesh2020 (eq. 7 for regressions) is drawn; y is then
            ``test_loss`` or ``log10_test_loss``.
    """

    kind: Kind
    y: Annotated[str, Field(min_length=1)]
    x: str = ""
    title: str = ""
    group: str = ""
    pair: str = ""
    colour: str = ""
    fit: bool = False
    diagonal: bool = False
    predicted: bool = False
    where: Mapping[str, bool | int | float | str] = field(default_factory=dict, hash=False)
    max_train_error: Annotated[float, Field(ge=0)] | None = None

    @property
    def quantities(self) -> tuple[str, ...]:
        """All names of quantities and parameters that the figure asks for, but the axes of curves."""
        names = (*(() if self.kind == "curve" else (self.x, self.y)), self.group, self.pair, self.colour)
        names = (*names, *self.where)
        return tuple(name for name in names if name)

    @model_validator(mode="after")
    def _check_keys(self) -> FigureSpec:
        for key in _NEEDS[self.kind]:
            if not getattr(self, key):
                raise ValueError(f"needs {key} for a figure of kind {self.kind!r}; none given")
        for key in KEYS:
            if getattr(self, key) and key not in _HAS[self.kind]:
                raise ValueError(f"cannot have {key} in a figure of kind {self.kind!r}; remove it")
        if self.kind == "curve" and self.x not in ("", *EPOCH_CURVES):
            raise ValueError(f"needs one of {', '.join(EPOCH_CURVES)} as x of a curve, or none; given {self.x!r}")
        if self.predicted and self.y not in ("test_loss", LOG10 + "test_loss"):
            raise ValueError(f"needs test_loss or log10_test_loss as y for predicted = true; given {self.y!r}")
        return self
