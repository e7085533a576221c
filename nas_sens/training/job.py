"""What a trainer of the user's own is given beside the network: data, seed, epochs that go on, a place to report to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..core.candidates import USUAL_CURVE
from ..core.errors import InvalidInputError
from ..core.messages import shown
from ..core.random_state import foreign_state, set_foreign_state, set_stream_state, stream_state
from ..data import Splits
from ..study.train_spec import TrainSpec
from .checkpoint import Checkpoint
from .own_figures import check_name, number_of

OnEpoch = Callable[[int, int], None]  # epochs that are done, and of how many
Prune = Callable[[Sequence[float], int, str], bool]  # the same, the number of epochs, and the figure's name
OnCurve = Callable[[Sequence[float]], None]  # the reported values so far


class TrainingStopped(BaseException):
    """A training ends before its trainer does: it is pruned, or another worker has it.

    It is none of the exceptions that code handles as its own failure, like ``asyncio.CancelledError``.
    """


class Job:
    """One training of one network by a trainer of the user's own.

        def fit(model: nn.Module, job: ns.Job) -> dict[str, float]:
            optimizer = torch.optim.Adam(model.parameters())
            for epoch in job.epochs(30, optimizer=optimizer):
                ...
                job.report(val_loss=..., val_f1=...)
            return {"val_loss": ..., "val_f1": ..., "test_f1": ...}

    The global random states of Python, NumPy and PyTorch are seeded before the trainer is called, so that one that
    draws from them, or from generators seeded with ``seed``, comes to the same figures again.

    Attributes:
        spec: The architecture that is trained.
        train: ``[train]`` as it is declared, with what the search space searches with the architecture.
        data: The data of ``[data]``, on the device.
        device: Where the network is, and is to be trained.
        seed: Seed of this training; another one for every training of a candidate. It is below 2³², as NumPy,
            scikit-learn, Lightning and Transformers require.
        folder: An empty folder for files of this training. It stays if the training is killed, so that it can go on
            there on the same machine, and is removed when the training is over. A changed trainer or ``[train]`` has
            another one.
        rows: What was reported, the figures of an epoch each. A trainer that goes on from a checkpoint of its own, or
            of its framework's, in ``folder`` sets it to what had been reported by then.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        spec: ArchitectureSpec,
        train: TrainSpec,
        data: Splits,
        device: torch.device,
        seed: int,
        folder: Path,
        objective: str = USUAL_CURVE,
        checkpoint: Checkpoint | None = None,
        identity: str = "",
        on_epoch: OnEpoch | None = None,
        on_curve: OnCurve | None = None,
        prune: Prune | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.spec, self.train, self.data, self.device, self.seed, self.folder = spec, train, data, device, seed, folder
        self.n_epochs = train.n_epochs
        self.rows: list[dict[str, float]] = []
        self.is_pruned = False
        self._model, self._objective = model, objective
        self._checkpoint, self._identity = checkpoint, identity
        self._on_epoch, self._on_curve, self._prune, self._say = on_epoch, on_curve, prune, say
        self._epoch: int | None = None  # the present one of `epochs`
        self._n_done = 0
        self._n_told = 0  # values of the curve
        self._streams: list[Any] = []  # to put back when the epochs go on
        self._state: dict[str, Any] = {}

    # The user's side.

    def epochs(self, n: int | None = None, **kept: Any) -> Iterator[int]:
        """Yield the numbers of the epochs, from 0, or from where a training went on that was killed.

        Args:
            n: How many in all; None for ``[train] epochs``.
            kept: What the next epoch depends on beside the network: optimizer, schedule, scaler, generators and
                whatever else has ``state_dict`` and ``load_state_dict``. With it, states are written as often as
                ``[train] checkpoint_seconds`` says, and a killed training goes on from the last one; without it, and
                without :meth:`save`, it begins anew, as nobody knows the optimizer.

        Yields:
            The number of an epoch.

        Raises:
            InvalidInputError: Something has no state that can be kept.
        """
        for name, thing in kept.items():
            _check_kept(name, thing)
        self.n_epochs = self.train.n_epochs if n is None else n
        for name, thing in kept.items():
            if name in self._state:
                _set_state(thing, self._state[name])
        self._set_streams()
        for epoch in range(self._n_done, self.n_epochs):
            self._epoch = epoch
            yield epoch
            self._n_done = epoch + 1
            if self._on_epoch is not None:
                self._on_epoch(self._n_done, self.n_epochs)
            is_over = self._n_done == self.n_epochs
            if kept and self._checkpoint is not None and not is_over and self._checkpoint.is_due(is_over=False):
                self._write(kept)
        self._epoch = None

    def report(self, **figures: float) -> None:
        """Report figures after an epoch, such as ``val_loss=0.3``; tensors of one number may be given, too.

        They become curves of the training. The study's target, or else ``val_loss``, or else the first figure that was
        ever reported, is what the dashboard shows while the training runs, and what a pruner judges by.

        Args:
            figures: Figures by name.

        Raises:
            InvalidInputError: A figure is no number, or has a name that is taken.
            TrainingStopped: The training is pruned, or was given to another worker.
        """
        for name in figures:
            check_name(name)
        values = {name: number_of(name, value) for name, value in figures.items()}
        row = len(self.rows) if self._epoch is None else self._epoch
        while len(self.rows) <= row:
            self.rows.append({})
        self.rows[row] |= values
        curve = self.curve
        if len(curve) > self._n_told:
            self._n_told = len(curve)
            if self._on_curve is not None:
                self._on_curve(curve)
            if self._epoch is None and self._on_epoch is not None:
                self._on_epoch(min(len(self.rows), self.n_epochs), self.n_epochs)
        is_last = row + 1 == self.n_epochs
        if self._prune is not None and curve and not is_last and self._prune(curve, self.n_epochs, self.curve_of):
            self.is_pruned = True
        if self.is_pruned:
            raise TrainingStopped

    def save(self, state: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Write a state now, from which this training goes on if it is killed: after the present epoch.

        The network, what was reported and the random states are kept with it.

        Args:
            state: Tensors, numbers, texts, lists and dicts of these, and what has a ``state_dict``.
            more: The same by name.
        """
        self._n_done = self._n_done if self._epoch is None else self._epoch + 1
        self._write({**(state or {}), **more})

    def load(self) -> dict[str, Any]:
        """Return what :meth:`save` or :meth:`epochs` kept last; empty where the training begins.

        The network has the weights of that state already.
        """
        self._set_streams()
        return self._state

    def log(self, text: str) -> None:
        """Note a line in the training's log, which is kept with the network."""
        if self._say is not None:
            self._say(text)

    # The tool's side.

    @property
    def curve_of(self) -> str:
        """The figure that :attr:`curve` shows."""
        reported = dict.fromkeys(name for row in self.rows for name in row)
        preferred = (name for name in (self._objective, USUAL_CURVE, *reported) if name in reported)
        return next(preferred, USUAL_CURVE)

    @property
    def curve(self) -> tuple[float, ...]:
        """The values of one figure in the order in which they were reported."""
        name = self.curve_of
        return tuple(row[name] for row in self.rows if name in row)

    def curves(self) -> dict[str, tuple[float | None, ...]]:
        """Return the other figures by name, one value for each report of :attr:`curve`; None where there is none."""
        shown_one = self.curve_of
        rows = [row for row in self.rows if shown_one in row]
        names = sorted({name for row in rows for name in row} - {shown_one})
        return {name: tuple(_finite(row.get(name)) for row in rows) for name in names}

    def restore(self) -> dict[str, Any] | None:
        """Go on from the checkpoint, if there is one of this training.

        Returns:
            What the training came to, if it was over then.

        Raises:
            StorageError: The store does not answer.
        """
        if self._checkpoint is None or (found := self._checkpoint.read(identity=self._identity)) is None:
            return None
        self._model.load_state_dict(found["model"])
        self.rows, self._n_done, self._state = [dict(row) for row in found["rows"]], found["n_done"], found["kept"]
        self._streams = [found["stream"], found["foreign"]]
        self._n_told = len(self.curve)
        if self._on_epoch is not None:
            self._on_epoch(self._n_done, max(self._n_done, self.n_epochs))
        result: dict[str, Any] | None = found["result"]
        return result

    def keep_end(self, result: Mapping[str, Any]) -> None:
        """Write what the training came to, if others of the same candidate are still to come."""
        if self._checkpoint is not None and self._checkpoint.is_due(is_over=True):
            self._write({}, result)

    def _set_streams(self) -> None:
        if self._streams:
            stream, foreign = self._streams
            set_stream_state(self.device, stream)
            set_foreign_state(foreign)
            self._streams = []

    def _write(self, kept: Mapping[str, Any], result: Mapping[str, Any] | None = None) -> None:
        if self._checkpoint is None:
            return
        state = {
            "model": self._model.state_dict(),
            "kept": {str(name): _state_of(thing) for name, thing in kept.items()},
            "rows": self.rows,
            "n_done": self._n_done,
            "stream": stream_state(self.device),
            "foreign": foreign_state(),
            "result": None if result is None else dict(result),
        }
        self._checkpoint.write(state, identity=self._identity)


def _check_kept(name: str, thing: Any) -> None:
    if isinstance(thing, torch.Generator) or (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return
    raise InvalidInputError(
        f"job.epochs can keep what has state_dict and load_state_dict; {name} is {shown(type(thing).__name__)}; keep "
        "numbers and tensors by job.save"
    )


def _state_of(thing: Any) -> Any:
    if isinstance(thing, torch.Generator):
        return thing.get_state()
    return thing.state_dict() if hasattr(thing, "state_dict") else thing


def _set_state(thing: Any, state: Any) -> None:
    if isinstance(thing, torch.Generator):
        thing.set_state(state)
    else:
        thing.load_state_dict(state)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
