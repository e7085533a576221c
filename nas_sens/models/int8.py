"""The network in ONNX with weights and activations in 8 bits, and what that costs in accuracy, measured on the data."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError, StorageError, first_line
from ..core.identity import make_generator
from ..core.inputs import is_one_float
from ..data import Splits
from ..data.subset import part_of
from ..study.train_spec import Loss
from ..training.evaluation import evaluate
from .onnx_file import ONNX, require_onnx

INT8 = "model_int8.onnx"
N_CALIBRATION = 256  # training inputs by which the ranges of activations are found
_BATCH = 32


def write_int8(folder: Path, splits: Splits) -> dict[str, float]:
    """Write ``model_int8.onnx`` beside ``model.onnx`` by ONNX Runtime's quantiser, and measure both on the same inputs.

    Weights have a scale for each channel; those of activations are found on training inputs.

    Args:
        folder: Where ``model.onnx`` is.
        splits: The data that the network was trained on, prepared as then.

    Returns:
        ``val_error`` and ``test_error`` of ``model.onnx``, and with ``_int8`` behind them of the other; see `Outcome`.

    Raises:
        InvalidInputError: The packages of the extra ``onnx`` are not installed, or the network takes or gives something
            that errors cannot be measured of.
        StorageError: The quantiser cannot quantise the network.
    """
    require_onnx()
    if not is_one_float(splits.x_train) or splits.task == "other" or splits.has_only_probe:
        raise InvalidInputError(
            "8 bits need inputs of one floating-point tensor and a task whose errors are known (classification, "
            "regression, several labels); leave --int8 out"
        )
    _quantise(folder, splits)
    return {
        f"{part}_error{suffix}": _error(folder / file, x, y, splits)
        for part, x, y in (("val", splits.x_val, splits.y_val), ("test", splits.x_test, splits.y_test))
        for file, suffix in ((ONNX, ""), (INT8, "_int8"))
    }


def in_words(errors: Mapping[str, float]) -> str:
    """Return what 8 bits cost, in one line."""
    parts = [
        f"{name} error {errors[f'{part}_error']:.4g} → {errors[f'{part}_error_int8']:.4g}"
        for part, name in (("val", "validation"), ("test", "test"))
    ]
    return f"in 8 bits: {', '.join(parts)}"


def _quantise(folder: Path, splits: Splits) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    n = min(N_CALIBRATION, len(splits.y_train))
    x, _ = part_of(splits.x_train, splits.y_train, n, generator=make_generator("calibration of 8 bits", 0))
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)  # it advises to do what is done
        with tempfile.TemporaryDirectory() as scratch:
            prepared = Path(scratch) / ONNX
            quant_pre_process(str(folder / ONNX), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(folder / INT8),
                _Reader(x),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except Exception as error:  # it raises what its passes happen upon
        raise StorageError(
            f"onnxruntime cannot quantise this network: {first_line(error)}; leave --int8 out"
        ) from error
    finally:
        root.setLevel(level)


class _Reader:
    """Calibration inputs, batch by batch, as the quantiser asks for them."""

    def __init__(self, x: torch.Tensor) -> None:
        self._batches = iter(x.cpu().split(_BATCH))

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the name of the input; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch.numpy()}


class _InRuntime(nn.Module):
    """A file as a module, run by ONNX Runtime on the CPU."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, on the device of the inputs."""
        return torch.from_numpy(self._session.run(None, {"input": x.cpu().numpy()})[0]).to(x.device)


def _error(path: Path, x: torch.Tensor, y: torch.Tensor, splits: Splits) -> float:
    loss: Loss = "mse" if splits.task == "regression" else "cross_entropy"
    return float(evaluate(_InRuntime(path), x, y, task=splits.task, loss=loss)[1])
