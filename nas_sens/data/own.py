"""Data of the user's own code: ``[data] name = "module:function"``, a function that returns :class:`Data`.

def data():
return ns.Data(train=(x, y), val=(x_val, y_val), test=(x_test, y_test), n_outputs=4)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.errors import InvalidInputError
from ..core.inputs import checked_inputs, mapped, n_rows, parts_of, rows_of, shape_of, shape_text, shape_to_json
from ..core.user_code import called, error_text, user_object
from ._columns_of_own import group_numbers, weights_from
from .bounds import check_size
from .dataset_stream import can_stream, streamed
from .loading import n_workers
from .picture_sets import STREAMED_BYTES
from .samples import LoadOptions, Samples, Task

_ADVICE = '; for masks, sequences and the like set task = "other" and n_outputs, and train by [train] trainer'


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Data in memory, as a user's function returns them.

    Each part is a pair of inputs (n, *input_shape) and labels, tensors or arrays, or a ``torch.utils.data.Dataset`` of
    such pairs, one sample each, which ``[data] load`` reads at once or leaves where it is. Inputs are taken as they
    are: in float32, or in int64 if they are whole numbers of any type but uint8 (pictures), such as tokens. Several
    inputs are a tuple or list, by position, or a dict, by keyword; a network's function is then given their shapes in
    the same structure.

    Attributes:
        train: Training samples; None where there are only inputs to score with.
        val: Samples that selection may see; None to hold them out of ``train``.
        test: Samples for the report only; None to hold them out of ``train``.
        probe: Inputs (n, *input_shape) that candidates are scored with, without labels; None to take them from the
            parts. Enough alone where a trainer of one's own brings its data, or nothing is to be trained.
        n_outputs: Number of classes; None for as many as there are in ``train``. With ``probe`` alone, and for "other",
            it must be given: it is what a network's function is called with.
        task: ``classification`` with labels (n,) from 0; ``regression`` with numbers (n,) or (n, K); ``multilabel``
            with 0 and 1, (n, K); ``other`` with targets of any shape (n, …), such as masks or sequences, for which only
            a trainer of one's own can train. None to tell the first three from type and shape.
        class_names: Names of the classes in the order of the labels.
        groups: (n,), of ``train``: samples of the same value, number or text, stay together where parts are held out.
        weights: (n,), of ``train``: how much each sample counts in the training loss, from 0.
    """

    train: Any = None
    val: Any = None
    test: Any = None
    probe: Any = None
    n_outputs: int | None = None
    task: Task | None = None
    class_names: tuple[str, ...] = ()
    groups: Any = None
    weights: Any = None


def own_samples(name: str, options: LoadOptions | None = None) -> Samples:
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
    return samples_of(found, source=name, options=options)


def samples_of(data: Data, *, source: str, options: LoadOptions | None = None) -> Samples:
    """Return data as checked samples.

    Args:
        data: The data.
        source: How they are called in messages.
        options: Where data sets are kept; None for memory.

    Raises:
        InvalidInputError: They cannot be used.
    """  # noqa: DOC501 - `_other_shape` makes the error
    probe = None if data.probe is None else inputs_from(data.probe, f"{source}: probe")
    if data.train is None:
        return _probe_alone(data, probe, source)
    options = options or LoadOptions(load="memory")
    is_streamed = _is_streamed(data, options, source)
    digests: dict[str, np.ndarray] = {}

    def read(part: Any, name: str) -> tuple[Any, torch.Tensor]:
        if not is_streamed:
            return _pair(part, f"{source}: {name}")
        x, y, digests[name] = streamed(part, f"{source}: {name}", workers=n_workers(options.workers))
        return x, y

    x, y = read(data.train, "train")
    if probe is not None and _kind(probe) != _kind(x):
        raise _other_shape(source, "probe", x, probe)
    task = data.task or _task(y)
    y = targets_from(y, task, f"{source}: train")
    n_outputs = _n_outputs(data, y, task, source)
    held_out: dict[str, Any] = {}
    for part, given in (("val", data.val), ("test", data.test)):
        if given is None:
            continue
        x_part, y_part = read(given, part)
        if _kind(x_part) != _kind(x):
            raise _other_shape(source, part, x, x_part)
        y_part = targets_from(y_part, task, f"{source}: {part}")
        if task in ("regression", "multilabel") and y_part.shape[1:] != y.shape[1:]:
            raise InvalidInputError(
                f"{source}: targets of train and {part} must have one shape; given {tuple(y.shape[1:])} and "
                f"{tuple(y_part.shape[1:])}"
            )
        held_out |= {f"x_{part}": x_part, f"y_{part}": y_part}
    for labels in (y, *(v for k, v in held_out.items() if k[0] == "y")):
        if task == "classification" and int(labels.max()) >= n_outputs:
            raise InvalidInputError(f"{source}: labels must be from 0 to {n_outputs - 1}; given {int(labels.max())}")
    names = tuple(data.class_names)
    return Samples(
        x=x, y=y, x_probe=probe, n_outputs=n_outputs, task=task, class_names=names, digests=digests,
        groups=group_numbers(data.groups, len(y), f"{source}: groups"),
        weights=weights_from(data.weights, len(y), source),
        **held_out,
    )  # fmt: skip


def _is_streamed(data: Data, options: LoadOptions, source: str) -> bool:
    """Return whether the parts stay where they are.

    Raises:
        InvalidInputError: They shall, but are no data sets of one tensor each.
    """
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    if options.load == "memory":
        return False
    try:
        can = all(_is_dataset(part) and can_stream(part) for part in parts)
    except Exception as error:  # whatever a foreign data set raises
        raise InvalidInputError(f"{source}: its first sample cannot be had; {error_text(error)}") from error
    if options.load == "stream" and not can:
        raise InvalidInputError(
            f'{source}: load = "stream" in [data] needs parts that are torch data sets of pairs (input, label), each '
            'input one tensor of pixels or floats; set load = "auto"'
        )
    if not can:
        return False
    first = parts[0][0][0]
    n_bytes = sum(map(len, parts)) * torch.as_tensor(np.asarray(first)).numel()
    return options.load == "stream" or n_bytes > STREAMED_BYTES


def _is_dataset(part: Any) -> bool:
    is_arrays = isinstance(part, (tuple, list, Mapping, torch.Tensor, np.ndarray))
    return not is_arrays and hasattr(part, "__getitem__") and hasattr(part, "__len__")


def _probe_alone(data: Data, probe: Any, source: str) -> Samples:
    """Return samples without rows, beside inputs to score with.

    Raises:
        InvalidInputError: There are none, there are other parts, or the number of outputs is not known.
    """
    if probe is None or data.val is not None or data.test is not None:
        raise InvalidInputError(f"{source} must have train=(inputs, labels), or probe=inputs alone")
    if data.n_outputs is None:
        raise InvalidInputError(
            f"{source}: n_outputs must be given with probe=… alone; it is what a network's function is called with"
        )
    return Samples(
        x=rows_of(probe, slice(0, 0)),
        y=torch.empty(0),
        x_probe=probe,
        n_outputs=data.n_outputs,
        task=data.task or "other",
        class_names=tuple(data.class_names),
    )


def _kind(x: Any) -> Any:
    """Return the shapes and types of inputs, which are the same in all parts."""
    return shape_to_json(shape_of(x))


def _other_shape(source: str, part: str, x: Any, x_part: Any) -> InvalidInputError:
    return InvalidInputError(
        f"{source}: inputs of train and {part} must have one shape; given {shape_text(shape_of(x))} and "
        f"{shape_text(shape_of(x_part))}"
    )


def _task(y: torch.Tensor) -> Task:
    """Return what is to be learnt, as far as labels tell: K numbers that are all 0 or 1 are K labels."""
    if y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()):
        return "multilabel"
    return "regression" if y.is_floating_point() else "classification"


def _n_outputs(data: Data, y: torch.Tensor, task: Task, source: str) -> int:
    """Return the number of outputs.

    Raises:
        InvalidInputError: It is not known, or another one was given than there are targets.
    """
    if task == "classification":
        return data.n_outputs or max(int(y.max()) + 1, len(data.class_names))
    if task == "other":
        if data.n_outputs is None:
            raise InvalidInputError(f'{source}: n_outputs must be given with task = "other"')
        return data.n_outputs
    if data.n_outputs not in (None, y.shape[1]):
        raise InvalidInputError(
            f"{source}: n_outputs must be the {y.shape[1]} targets of each input for {task}; given {data.n_outputs}; "
            "leave it out"
        )
    return int(y.shape[1])


def _pair(part: Any, what: str) -> tuple[Any, torch.Tensor]:
    """Return inputs (n, *input_shape) and labels (n, …) of one part.

    Raises:
        InvalidInputError: It is no pair and no data set of pairs, or holds what is no number.
    """
    if _is_dataset(part):
        part = _stacked(part, what)
    if not (isinstance(part, (tuple, list)) and len(part) == 2):
        raise InvalidInputError(
            f"{what} must be a pair of inputs and labels, or a torch data set; given {type(part).__name__}"
        )
    x, y = inputs_from(part[0], what), _tensor(part[1], what)
    if y.ndim == 0 or n_rows(x) != len(y):
        shapes = " and ".join(str(tuple(t.shape)) for t in parts_of(x))
        raise InvalidInputError(
            f"{what} must have inputs (n, …) and n labels, n at least 1; given {shapes} and {tuple(y.shape)}"
        )
    return x, y.detach().cpu()


def inputs_from(given: Any, what: str) -> Any:
    """Return inputs as tensors on the CPU, float32 or int64, of at least one row.

    Raises:
        InvalidInputError: They are no numbers, or some are not finite.
    """
    is_many = isinstance(given, Mapping) or (
        isinstance(given, (tuple, list)) and any(isinstance(part, (torch.Tensor, np.ndarray)) for part in given)
    )
    x = mapped(lambda part: _tensor(part, what), given) if is_many else _tensor(given, what)
    least = 1 if is_many else 2  # axes: beside others there may be one number an input
    if not is_many and (x.ndim < least or len(x) == 0):
        raise InvalidInputError(f"{what} must have inputs (n, …), n at least 1; given {tuple(x.shape)}")
    x = mapped(_taken, checked_inputs(x, what))
    for part in parts_of(x):
        if len(part) == 0:
            raise InvalidInputError(f"{what} must have at least 1 input; given {tuple(part.shape)}")
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            raise InvalidInputError(f"{what} must have finite inputs, but holds NaN or infinity")
    return x


def _taken(x: torch.Tensor) -> torch.Tensor:
    """Return inputs in the type that networks see: whole numbers stay such, pictures and truth values become floats."""
    is_whole = not (x.is_floating_point() or x.is_complex() or x.dtype in (torch.uint8, torch.bool))
    return x.detach().to("cpu", torch.int64 if is_whole else torch.float32).contiguous()


def _tensor(given: Any, what: str) -> torch.Tensor:
    """Return a tensor.

    Raises:
        InvalidInputError: It holds what is no number.
    """
    try:
        return given if isinstance(given, torch.Tensor) else torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} must hold numbers; {error_text(error)}") from error


def _stacked(part: Any, what: str) -> tuple[Any, torch.Tensor]:
    """Return all samples of a data set, read once.

    Raises:
        InvalidInputError: It fails, or samples are no pairs of one shape.
    """
    try:
        n, first = len(part), part[0][0]
        is_many = isinstance(first, (tuple, list, Mapping))
        check_size(4 * n * sum(torch.as_tensor(np.asarray(t)).numel() for t in parts_of(first)), what)
        pairs = [part[i] for i in range(n)]
        y = torch.stack([torch.as_tensor(np.asarray(p[1])) for p in pairs])
        if not is_many:
            return torch.stack([torch.as_tensor(np.asarray(p[0])) for p in pairs]), y
        keys = list(first) if isinstance(first, Mapping) else range(len(first))
        columns = [torch.stack([torch.as_tensor(np.asarray(p[0][key])) for p in pairs]) for key in keys]
        return (dict(zip(keys, columns, strict=True)) if isinstance(first, Mapping) else tuple(columns)), y
    except InvalidInputError:
        raise
    except Exception as error:  # whatever a foreign data set raises
        raise InvalidInputError(
            f"{what} must be a data set of pairs (input, label) of one shape; {error_text(error)}"
        ) from error


def targets_from(y: torch.Tensor, task: Task, what: str) -> torch.Tensor:
    """Return labels int64 (n,), targets or several labels float32 (n, K), or for other tasks targets as they are.

    Raises:
        InvalidInputError: They are of another shape or type.
    """
    if task == "other":
        return y
    if task == "regression":
        if y.ndim not in (1, 2) or y.shape[-1] == 0:
            raise InvalidInputError(
                f"{what} must have one number, or K numbers, to predict for each input; given {tuple(y.shape)}"
                + _ADVICE
            )
        y = y.reshape(len(y), -1).float()
        if not bool(torch.isfinite(y).all()):
            raise InvalidInputError(f"{what} must have finite targets, but holds NaN or infinity")
        return y
    if task == "multilabel":
        if y.ndim != 2 or not bool(((y == 0) | (y == 1)).all()):
            raise InvalidInputError(f"{what} must have 0 or 1 for each of K labels, (n, K); given {tuple(y.shape)}")
        return y.float()
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or y.is_floating_point() or y.is_complex() or int(y.min()) < 0:
        raise InvalidInputError(
            f"{what} must have whole numbers from 0 as labels, one for each input; given {tuple(y.shape)} of {y.dtype}"
            + (_ADVICE if y.ndim > 1 else "")
        )
    return y.long()
