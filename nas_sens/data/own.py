"""Data of the user's own code: ``[data] name = "module:function"``, a function that returns :class:`Data`.

def data():
return ns.Data(train=(x, y), val=(x_val, y_val), test=(x_test, y_test), n_outputs=4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.errors import InvalidInputError
from ..core.user_code import called, error_text, user_object
from .bounds import check_size
from .samples import Samples, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Data in memory, as a user's function returns them.

    Each part is a pair of inputs (n, *input_shape) and labels, tensors or arrays, or a ``torch.utils.data.Dataset`` of
    such pairs, one sample each. Inputs are taken as they are, in float32.

    Attributes:
        train: Training samples.
        val: Samples that selection may see; None to hold them out of ``train``.
        test: Samples for the report only; None to hold them out of ``train``.
        n_outputs: Number of classes; None for as many as there are in ``train``, and for regression.
        task: ``classification`` with labels (n,) from 0, or ``regression`` with numbers (n,) or (n, 1); None to tell
            from the type of the labels.
        class_names: Names of the classes in the order of the labels.
    """

    train: Any
    val: Any = None
    test: Any = None
    n_outputs: int | None = None
    task: Task | None = None
    class_names: tuple[str, ...] = ()


def own_samples(name: str) -> Samples:
    """Return the samples that ``module:function`` returns.

    Raises:
        InvalidInputError: There is no such function, it fails, or what it returns cannot be used.
    """
    found = user_object(name, "a function that returns ns.Data")
    if not isinstance(found, Data):
        if not callable(found):
            raise InvalidInputError(f"{name} must be a function that returns ns.Data; it is {type(found).__name__}")
        found = called(found, name)
    if not isinstance(found, Data):
        raise InvalidInputError(
            f"{name} must return ns.Data(train=…, val=…, test=…); it returned {type(found).__name__}"
        )
    return samples_of(found, source=name)


def samples_of(data: Data, *, source: str) -> Samples:
    """Return data as checked samples.

    Args:
        data: The data.
        source: How they are called in messages.

    Raises:
        InvalidInputError: They cannot be used.
    """
    x, y = _pair(data.train, f"{source}: train")
    task: Task = data.task or ("regression" if y.is_floating_point() else "classification")
    y = _targets(y, task, f"{source}: train")
    n_outputs = 1 if task == "regression" else data.n_outputs or max(int(y.max()) + 1, len(data.class_names))
    held_out: dict[str, Any] = {}
    for part, given in (("val", data.val), ("test", data.test)):
        if given is None:
            continue
        x_part, y_part = _pair(given, f"{source}: {part}")
        if x_part.shape[1:] != x.shape[1:]:
            raise InvalidInputError(
                f"{source}: inputs of train and {part} must have one shape; given {tuple(x.shape[1:])} and "
                f"{tuple(x_part.shape[1:])}"
            )
        held_out |= {f"x_{part}": x_part, f"y_{part}": _targets(y_part, task, f"{source}: {part}")}
    for labels in (y, *(v for k, v in held_out.items() if k[0] == "y")):
        if task == "classification" and int(labels.max()) >= n_outputs:
            raise InvalidInputError(f"{source}: labels must be from 0 to {n_outputs - 1}; given {int(labels.max())}")
    return Samples(x=x, y=y, n_outputs=n_outputs, task=task, class_names=tuple(data.class_names), **held_out)


def _pair(part: Any, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs, float32 (n, *input_shape), and labels (n, …) of one part.

    Raises:
        InvalidInputError: It is no pair and no data set of pairs, or holds what is no number.
    """
    is_arrays = isinstance(part, (tuple, list, torch.Tensor, np.ndarray))
    if not is_arrays and hasattr(part, "__getitem__") and hasattr(part, "__len__"):
        part = _stacked(part, what)
    if not (isinstance(part, (tuple, list)) and len(part) == 2):
        raise InvalidInputError(
            f"{what} must be a pair of inputs and labels, or a torch data set; given {type(part).__name__}"
        )
    try:
        x, y = (torch.as_tensor(np.asarray(v)) if not isinstance(v, torch.Tensor) else v for v in part)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} must hold numbers; {error_text(error)}") from error
    if x.ndim < 2 or len(x) == 0 or len(x) != len(y):
        raise InvalidInputError(
            f"{what} must have inputs (n, …) and n labels, n at least 1; given {tuple(x.shape)} and {tuple(y.shape)}"
        )
    x = x.detach().to("cpu", torch.float32).contiguous()
    if not bool(torch.isfinite(x).all()):
        raise InvalidInputError(f"{what} must have finite inputs, but holds NaN or infinity")
    return x, y.detach().cpu()


def _stacked(part: Any, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all samples of a data set, read once.

    Raises:
        InvalidInputError: It fails, or samples are no pairs of one shape.
    """
    try:
        n, first = len(part), torch.as_tensor(np.asarray(part[0][0]))
        check_size(4 * n * first.numel(), what)
        pairs = [part[i] for i in range(n)]
        x = torch.stack([torch.as_tensor(np.asarray(p[0])).float() for p in pairs])
        return x, torch.stack([torch.as_tensor(np.asarray(p[1])) for p in pairs])
    except InvalidInputError:
        raise
    except Exception as error:  # whatever a foreign data set raises
        raise InvalidInputError(
            f"{what} must be a data set of pairs (input, label) of one shape; {error_text(error)}"
        ) from error


def _targets(y: torch.Tensor, task: Task, what: str) -> torch.Tensor:
    """Return labels int64 (n,), or targets float32 (n, 1).

    Raises:
        InvalidInputError: They are of another shape or type.
    """
    if task == "regression":
        if y.shape not in ((len(y),), (len(y), 1)):
            raise InvalidInputError(f"{what} must have one number to predict for each input; given {tuple(y.shape)}")
        return y.reshape(-1, 1).float()
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or y.is_floating_point() or y.is_complex() or int(y.min()) < 0:
        raise InvalidInputError(
            f"{what} must have whole numbers from 0 as labels, one for each input; given {tuple(y.shape)} of {y.dtype}"
        )
    return y.long()
