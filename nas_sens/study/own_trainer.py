"""``ns.trainer`` and ``ns.dataset``: functions of the user that train and that give data, and whether they can."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from ..architectures import FAMILIES, BuiltSpec
from ..core.errors import InvalidInputError
from ..core.user_code import code_digest, error_text, named, user_object
from .study_spec import StudySpec
from .train_spec import TrainSpec

Function = TypeVar("Function", bound=Callable[..., Any])
TOLD = "told"  # in place of a trainer's name, where a program asks for trainings and tells what they came to
_EXPECTED = "a function of (model, job) that trains the network and returns its figures"
# Parts of the tool's own training that no other has.
_ITS_OWN = (
    *("table", "noisy_epochs", "label_noise", "stop_loss", "stop_train_error", "max_seconds", "temperature_scaling"),
    *("metrics_every", "recordings", "samples", "transforms"),
)


def trainer(function: Function) -> Function:
    """Make a function a trainer, which this process knows by its name from then on; a decorator.

    A function in a module needs it not: ``[train] trainer = "module:function"`` finds it.

    Args:
        function: Takes a network and a :class:`~nas_sens.training.job.Job`, and returns figures by name.

    Returns:
        The function itself.

    Raises:
        InvalidInputError: It takes other arguments.
    """
    check_trainer(named(function))
    return function


def dataset(function: Function) -> Function:
    """Make a function a data set, which this process knows by its name from then on; a decorator.

    Args:
        function: Takes nothing, and returns :class:`~nas_sens.data.own.Data`.

    Returns:
        The function itself.
    """
    named(function)
    return function


def check_trainer(name: str) -> None:
    """Check that a name stands for a function that can train.

    Raises:
        InvalidInputError: It does not.
    """
    found = user_object(name, _EXPECTED)
    if not callable(found):
        raise InvalidInputError(f"{name} must be {_EXPECTED}; it is {type(found).__name__}")
    try:
        inspect.signature(found).bind(None, None)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be {_EXPECTED}; {error_text(error)}") from error


def check_with_trainer(train: TrainSpec) -> None:
    """Check that ``[train]`` declares nothing that only the tool's own training does.

    Raises:
        InvalidInputError: It does.
    """
    defaults = {f.name: f.default for f in fields(TrainSpec) if f.default is not MISSING}
    for key in _ITS_OWN:
        if getattr(train, key) != defaults[key]:
            raise InvalidInputError(
                f"[train] {key} is a part of the tool's own training, and trainer = {train.trainer!r} takes its "
                "place; remove one of them"
            )


def sources_of(spec: StudySpec) -> dict[str, str]:
    """Return the digests of the sources of a study's functions that are the user's own, by their names."""
    families = {name: FAMILIES.get(name) for name in spec.search_space.families}
    sources = {name: f.source for name, f in families.items() if issubclass(f, BuiltSpec)}
    trainer = spec.train.trainer
    return sources if trainer in (None, TOLD) else sources | {trainer: code_digest(trainer)}
