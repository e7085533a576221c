"""FigureSpec: a figure that a study declares for its report, in ``[[figures]]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

Kind = Literal[
    "scatter", "paired", "curve", "equal_loss", "heat_map", "points", "profile", "slice", "matrix", "distance"
]
OF_RECORDS = ("points", "profile", "slice", "matrix", "distance")  # kinds of figures that show arrays of records
LOG10 = "log10_"
_NEEDS = {
    "scatter": ("x", "y"),
    "paired": ("pair", "y"),
    "curve": ("y",),
    "equal_loss": ("x", "y", "train_loss"),
    "heat_map": ("x", "y", "colour"),
    "points": ("recording", "x", "y"),
    "profile": ("recording", "x", "lines"),
    "slice": ("recording",),
    "matrix": ("recording", "y"),
    "distance": ("recording", "y"),
}
_HAS = {
    "scatter": ("x", "y", "group", "fit", "diagonal", "predicted"),
    "paired": ("pair", "also", "y", "group"),
    "curve": ("x", "y", "lines", "group", "predicted"),
    "equal_loss": ("x", "y", "train_loss", "group", "fit"),
    "heat_map": ("x", "y", "colour"),
    "points": ("recording", "epoch", "x", "y", "group", "bounds"),
    "profile": ("recording", "epoch", "x", "lines", "group"),
    "slice": ("recording", "epoch"),
    "matrix": ("recording", "epochs", "y"),
    "distance": ("recording", "epochs", "y"),
}
KEYS = (
    *("x", "y", "group", "pair", "also", "colour", "fit", "diagonal", "predicted"),
    *("recording", "epoch", "epochs", "lines", "bounds", "train_loss"),
)
_BOUNDED = ("jacobian_norm", "class_norm")


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class FigureSpec:
    """A figure of trained networks.

    Quantities are called as in `SearchResult.frame`: ``test_loss``, ``log10_sensitivity_after``, ``params``,
    ``measure_jacobian_norm``, ``training_learning_rate``; ``record_bias_variance_bias`` (the mean of an array);
    further ``family`` and the parameters of architectures (``depth``). ``log10_`` before a name stands for the
    logarithm, ``_gap`` behind that of a measure which is taken on both sets for its value on validation inputs minus
    that on training inputs; ``_over_`` between two for their quotient, ``log10_test_loss_over_predicted_loss`` being
    the logarithm of one.

    Args:
        kind: ``scatter`` of y against x with their correlation; ``paired``: y of networks that differ in nothing but
            ``pair``, which has two values, against each other, with the diagonal; ``curve``: y, a measure that is taken
            every so many epochs, the mean of an array, or ``val_loss``, ``val_error``, ``train_loss``,
            ``train_error``, against the epoch or, as x, another of the last four at the same epoch; ``equal_loss``:
            such a y, where the training loss of each network first comes down to ``train_loss``, against a quantity
            (fort2019, figure 6); ``heat_map``: mean of ``colour`` over networks by the parameters x and y. Of arrays
            that ``recording`` names: ``points`` of single inputs, y against x; ``profile``: ``lines`` against x, means
            over networks; ``slice``: the map of region boundaries of one network; ``matrix``: y by two classes at some
            epochs; ``distance``: y, which is stiffness such as ``train_val_sign``, by the distance of inputs at some
            epochs, with lines and their zeros; the last two are means over networks.
        y: Quantity, or array of the recording, on the vertical axis.
        x: Quantity, or array of the recording, on the horizontal axis.
        title: Heading of the figure.
        group: Parameter by which points and curves are coloured.
        pair: Parameter that tells the two networks of a pair apart; the smaller value lies on the horizontal axis.
        also: Further parameters in which the networks of a pair may differ, as they are chosen together with ``pair``.
        colour: Quantity that is averaged.
        fit: Whether the line of least squares is drawn.
        diagonal: Whether y = x is drawn.
        where: Parameters and the values that networks must have to be shown.
        max_train_error: Networks with a larger training error are left out; 0 for those that fit all labels.
        recording: Name of a recording that the study takes (``[train] recordings``).
        epoch: Epoch after which the recording was taken, 0 being before training; None for the end.
        epochs: Epochs that are shown; none for up to four of those at which the recording was taken.
        lines: Arrays of the recording, each of which is a line; of a curve, quantities that are drawn beside y.
        bounds: Whether the bounds of the Jacobian norm by the loss are drawn (novak2018, eq. 5–7); x is then ``loss``
            and y ``jacobian_norm`` or ``class_norm``.
        train_loss: Training loss at which networks are compared, in the unit of the loss; between epochs, its
            logarithm and y are taken to run straight. Networks that do not come to it are left out.
        predicted: Whether the loss predicted by eq. 9 of forouzesh2020 (eq. 7 for regressions) is drawn; y is then
            ``test_loss`` or ``log10_test_loss``; of a curve x is ``output_sensitivity`` and y ``val_loss``.
    """

    kind: Kind
    y: str = ""
    x: str = ""
    title: str = ""
    group: str = ""
    pair: str = ""
    also: Annotated[tuple[str, ...], Field(strict=False)] = ()
    colour: str = ""
    fit: bool = False
    diagonal: bool = False
    predicted: bool = False
    recording: str = ""
    epoch: Annotated[int, Field(ge=0)] | None = None
    epochs: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, max_length=6)] = ()
    lines: Annotated[tuple[str, ...], Field(strict=False)] = ()
    bounds: bool = False
    train_loss: Annotated[float, Field(gt=0)] | None = None
    where: Mapping[str, bool | int | float | str] = field(default_factory=dict, hash=False)
    max_train_error: Annotated[float, Field(ge=0)] | None = None

    @property
    def quantities(self) -> tuple[str, ...]:
        """All names of quantities and parameters that the figure asks for, but those of curves and arrays."""
        axes: tuple[str | None, ...] = (self.x, self.y)
        if self.kind == "curve" or self.kind in OF_RECORDS:
            axes = ()
        elif self.kind == "equal_loss":
            axes = (self.x,)
        names = (*axes, self.group, self.pair, self.colour, *self.also)
        names = (*names, *self.where)
        return tuple(name for name in names if name)

    @model_validator(mode="after")
    def _check_keys(self) -> FigureSpec:
        for key in _NEEDS[self.kind]:
            if not getattr(self, key):
                raise ValueError(f"needs {key} for a figure of kind {self.kind!r}; none given")
        for key in KEYS:
            given = getattr(self, key)
            if given not in ("", ()) and given is not None and given is not False and key not in _HAS[self.kind]:
                raise ValueError(f"cannot have {key} in a figure of kind {self.kind!r}; remove it")
        if self.bounds and (self.x != "loss" or self.y not in _BOUNDED):
            raise ValueError(
                'needs x = "loss" and y = "jacobian_norm" or "class_norm" for bounds = true; '
                f"given {self.x!r}, {self.y!r}"
            )
        if self.kind == "curve":
            if self.predicted and (self.x != "output_sensitivity" or self.y not in ("val_loss", "train_loss")):
                raise ValueError('needs x = "output_sensitivity" and y = "val_loss" for predicted = true of a curve')
        elif self.predicted and self.y not in ("test_loss", LOG10 + "test_loss"):
            raise ValueError(f"needs test_loss or log10_test_loss as y for predicted = true; given {self.y!r}")
        return self
