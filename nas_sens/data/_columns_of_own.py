"""What a user's function gives beside inputs and labels: groups and weights of the training samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import InvalidInputError


def group_numbers(given: Any, n: int, what: str) -> np.ndarray | None:
    """Return numbers int64 (n,) that are the same for the same values.

    Raises:
        InvalidInputError: There is not one for each training sample.
    """
    if given is None:
        return None
    values = np.asarray(given)
    if values.shape != (n,):
        raise InvalidInputError(f"{what} must have one value for each of {n} training samples; given {values.shape}")
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def weights_from(given: Any, n: int, source: str) -> np.ndarray | None:
    """Return weights float64 (n,).

    Raises:
        InvalidInputError: They are no finite numbers from 0, one for each training sample.
    """
    if given is None:
        return None
    values = np.asarray(given)
    is_numbers = values.shape == (n,) and values.dtype.kind in "uif"
    if not is_numbers or not (np.isfinite(values) & (values >= 0)).all():
        raise InvalidInputError(
            f"{source}: weights must be finite numbers from 0, one for each of {n} training samples; given "
            f"{values.shape} of {values.dtype}"
        )
    return values.astype(np.float64)
