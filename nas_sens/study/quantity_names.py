"""Names of quantities of trained networks: what a study's figures may ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..core.candidates import EPOCH_CURVES, ON_TRAIN
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.figures import BY_NAME, is_figure_name
from .figure_spec import LOG10, OF_RECORDS, FigureSpec

BY_DISTANCE = "_by_distance"  # behind an array that has means by the distance of inputs
RECORD = "record_"  # how the mean of an array of a record is called: record_points_loss
FIGURES = ("params", "flops", *BY_NAME)
GAP = (
    "_gap"  # behind a measure that is taken on both sets: its value on validation inputs minus that on training inputs
)

OVER = "_over_"  # between two quantities: their quotient, as test_loss_over_predicted_loss


def parts_of(name: str) -> tuple[str, ...]:
    """Return the two quantities of a quotient, or the one that a name is, without the sign of a logarithm."""
    return tuple(name.removeprefix(LOG10).split(OVER, 1))


def check_figures(
    figures: Iterable[FigureSpec],
    *,
    parameters: Collection[str],
    training: Collection[str],
    measures: Collection[str],
    records: Mapping[str, Collection[str]],
    epochs: Collection[int | None] = (None,),
    has_own: bool = False,
) -> None:
    """Check that a study has the quantities that its figures ask for.

    Args:
        figures: As declared.
        parameters: Names of the parameters of the architectures.
        training: Names of what is searched with them.
        measures: Names under which measures of the trained networks are stored.
        records: Names of records of the trained networks, to the names of their arrays.
        epochs: At which these are taken, None standing for the end.
        has_own: Whether a trainer of the user's own gives figures, whose names only its trainings tell: what is shown
            on an axis may then have any name that a figure may have.

    Raises:
        InvalidInputError: It lacks one.
    """
    gaps = [m + GAP for m in measures if m + ON_TRAIN in measures]
    measured = [f"measure_{m}" for m in (*measures, *gaps)]
    valid = [*FIGURES, "family", *parameters, *(f"training_{t}" for t in training), *measured]
    arrays = [f"{RECORD}{record}_{field}" for record, names in records.items() for field in names]
    valid += arrays
    for i, figure in enumerate(figures, 1):
        for name in figure.quantities:
            if has_own and name in (figure.x, figure.y, figure.colour) and is_figure_name(name):
                continue
            if name not in valid and not all(part in valid for part in parts_of(name)):
                raise InvalidInputError(f"figure {i} has no quantity {name!r}; {nearest(name, valid)}")
        if figure.kind in OF_RECORDS:
            _check_record(figure, i, records)
            for epoch in (figure.epoch, *figure.epochs):
                if epoch not in epochs:
                    raise InvalidInputError(
                        f"figure {i} needs an epoch of [train] recording_epochs, or none for the end; given {epoch}"
                    )
        curves = (*EPOCH_CURVES, *measures, *arrays)
        courses = {"curve": (figure.x, figure.y, *figure.lines), "equal_loss": (figure.y,)}
        for name in courses.get(figure.kind, ()):
            if name and name not in curves and not (has_own and is_figure_name(name)):
                raise InvalidInputError(f"figure {i} has no curve {name!r}; {nearest(name, curves)}")


def _check_record(figure: FigureSpec, place: int, records: Mapping[str, Collection[str]]) -> None:
    if figure.recording not in records:
        there = nearest(figure.recording, records) if records else "[train] recordings names none"
        raise InvalidInputError(f"figure {place} has no recording {figure.recording!r}; {there}")
    for name in (figure.x, figure.y, *figure.lines):
        if name and name not in records[figure.recording]:
            hint = nearest(name, records[figure.recording])
            raise InvalidInputError(f"figure {place} has no array {name!r} of recording {figure.recording!r}; {hint}")
    if figure.kind == "distance" and figure.y + BY_DISTANCE not in records[figure.recording]:
        raise InvalidInputError(
            f"figure {place} needs stiffness as y, such as 'train_train_cosine'; given {figure.y!r}"
        )
