"""What a study holds, as frozen records; `storage` writes them into Optuna trials and reads them back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from .boundary import reading
from .errors import StorageError
from .figures import sd_name
from .messages import shown

STATUS_OK = "ok"
FAILED_IN = "failed in"  # how the status begins of a training whose own trainer failed
PRUNED = "pruned"  # how the status of a pruned training begins
EPOCH_CURVES = ("val_loss", "train_loss", "train_error", "val_error")  # figures after each epoch of a training
# Long fields of a TrainedCandidate.
CURVES = ("curve", "curve_of", "curve_epochs", "curves", "measured_epochs", "measure_curves", "records")
# Fields of a TrainedCandidate whose entries are columns of their own.
TABLES = ("measures", "training", "figures", "figure_sds")
CONTROL = "control"
REFINED = "refined"  # by whom a finalist of another study is chosen, which is trained on
# By whom trials of a user's own Optuna study are chosen that are neither selected nor the control group: trained before
# there was anything to learn from, enqueued by somebody, or of a study whose trials nobody selects.
STARTUP, ENQUEUED, UNSELECTED = "startup", "enqueued", "unselected"
OTHERS = (STARTUP, ENQUEUED, UNSELECTED)
Group = Literal["selected", "control", "other"]
USUAL_CURVE = "val_loss"
ON_TRAIN = "_on_train"  # how the names of measures end that are taken on training inputs beside validation inputs


class Nothing(Mapping[str, Any]):
    """A mapping without entries, which many candidates can share as it cannot be changed."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NOTHING = Nothing()


@dataclass(frozen=True, kw_only=True, slots=True)  # a third less memory, where a study has a million
class ScoredCandidate:
    """One unique architecture of a study with its score; a PRUNED trial if it may be trained, else FAIL.

    Attributes:
        digest: Identity of the candidate: of the architecture, unless training is searched with it.
        architecture: Canonical JSON text of the architecture.
        training: Keys of ``[train]`` that were searched with it, to their values; a part of the candidate's identity.
        params: Number of trainable parameters; None if the layers do not fit the input.
        flops: Floating-point operations of one forward pass of one input; None if not counted.
        trainable_layers: Number of modules with a trainable weight of at least two dimensions; None where the family
            tells parameters without a module, and the structure, too.
        log10_sensitivity: log10 of the mean output sensitivity over networks; None unless ``status`` is "ok".
        stderr: Standard error of ``log10_sensitivity`` over networks; None with one network.
        estimator: How the sensitivity was computed; None if it was not.
        log10_relative_sensitivity: log10 of the output noise's power over that of the output signal, which has no
            scale; None where there is none.
        n_seeds: Number of random networks drawn; None for the closed form.
        measures: Further measures that the study asks for, by name, as far as they are finite.
        measure_problems: Why the others have no value, by name.
        feasible: Whether the architecture fits the input and meets the constraints of its space.
        status: "ok", or the reason why the candidate is never ranked.
        grown_for: Number of the round of trainings before which it was proposed, near the best ones by then or at
            random; None for those that the sampler of the study proposed before any training.
        number: Number of its trial; None before it is stored.
        params_sampled: What the sampler suggested: parameter name to value. Empty in what is read from a database; the
            trial has it.
    """

    digest: str
    architecture: str
    training: Mapping[str, Any] = field(default_factory=dict)
    params: int | None = None
    flops: int | None = None
    trainable_layers: int | None = None
    log10_sensitivity: float | None = None
    stderr: float | None = None
    estimator: str | None = None
    log10_relative_sensitivity: float | None = None
    n_seeds: int | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    measure_problems: Mapping[str, str] = field(default_factory=dict)
    feasible: bool = True
    status: str = STATUS_OK
    grown_for: int | None = None
    number: int | None = None
    params_sampled: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_ok(self) -> bool:
        """Whether the candidate may be ranked and selected."""
        return self.feasible and self.status == STATUS_OK

    @property
    def description(self) -> str:
        """Short text of what it is (see `describe`)."""
        return describe(self.architecture, self.training)


@dataclass(frozen=True, kw_only=True)
class TrainedCandidate:
    """One trained architecture: means over training seeds; a trial of its own beside the candidate's.

    Losses are mean cross-entropies in nats and errors fractions of wrong predictions; for regression, mean squared
    errors and fractions of unexplained variance, 1 - R². Sensitivities are log10.

    Attributes:
        digest: Identity of the candidate.
        architecture: Canonical JSON text of the architecture.
        params: Number of trainable parameters.
        flops: Floating-point operations of one forward pass of one input.
        candidate: Number of the trial of the scored candidate.
        chosen_by: The selection rule that chose it, or "control".
        training: Keys of ``[train]`` that were searched with the architecture, to their values.
        reason: Why the rule chose it, in words.
        round: The round of the rule that chose it, from 1; None in the control group.
        round_end: Number of candidates that the rule has chosen when that round is over.
        predicted_mean: What the rule expected of its target, if it predicts.
        predicted_sd: The standard deviation of that prediction.
        n_seeds: Number of trainings that the means are over.
        val_loss: Mean over seeds; None, as all that follows, if training failed.
        val_error: Mean over seeds.
        test_loss: Mean over seeds; for the report only.
        test_error: Mean over seeds; for the report only.
        train_loss: Mean over seeds, in evaluation mode.
        train_error: Mean over seeds, in evaluation mode.
        generalization_gap: Test error minus training error (novak2018: training accuracy minus test accuracy); for
            regression, training R² minus test R².
        log10_sensitivity_before: The candidate's score.
        log10_sensitivity_after: Sensitivity of the trained networks, mean over seeds before the logarithm.
        predicted_loss: Test loss predicted from ``log10_sensitivity_after`` without labels (forouzesh2020, eq. 9; for
            regression eq. 7).
        temperature: What outputs were divided by for losses and sensitivity, mean over seeds; None without temperature
            scaling.
        val_loss_sd: Sample standard deviation over seeds; None with one seed. So for the other ``_sd``.
        val_error_sd: See ``val_loss_sd``.
        test_loss_sd: See ``val_loss_sd``.
        test_error_sd: See ``val_loss_sd``.
        figures: Figures of a trainer of the user's own by the names that it gives them, means over seeds.
        figure_sds: Their sample standard deviations over seeds; empty with one seed.
        curve: Mean of ``curve_of`` after each epoch.
        curve_of: The figure that ``curve`` shows, which is the validation loss unless a trainer of the user's own
            reports another.
        curve_epochs: Epochs of ``curves``, evenly spaced if there are many.
        curves: Means of further figures at these epochs, such as ``train_loss`` and ``val_error`` (see `Outcome`).
        measures: Means of what ``[train] metrics`` says of the trained networks, by name, where all are finite.
        measured_epochs: Epochs after which it was measured, 0 for before training.
        measure_curves: Means of what it said then, by name; None where there is none.
        records: What ``[train] recordings`` keeps, of all seeds as each recording says (`nas_sens.recordings`): name to
            epoch to field to nested tuples of numbers, None where there is none. Epoch 0 is before training.
        seconds: Wall-clock time of all trainings together.
        code: Digest of the file of the user's own trainer; None for the tool's own training.
        status: "ok", or the reason why it is never ranked.
        number: Number of its trial; None before it is stored.
    """

    digest: str
    architecture: str
    params: int | None
    flops: int | None
    candidate: int
    chosen_by: str
    training: Mapping[str, Any] = field(default_factory=dict, hash=False)
    reason: str = ""
    round: int | None = None
    round_end: int | None = None
    predicted_mean: float | None = None
    predicted_sd: float | None = None
    n_seeds: int = 1
    val_loss: float | None = None
    val_error: float | None = None
    test_loss: float | None = None
    test_error: float | None = None
    train_loss: float | None = None
    train_error: float | None = None
    generalization_gap: float | None = None
    log10_sensitivity_before: float | None = None
    log10_sensitivity_after: float | None = None
    predicted_loss: float | None = None
    temperature: float | None = None
    val_loss_sd: float | None = None
    val_error_sd: float | None = None
    test_loss_sd: float | None = None
    test_error_sd: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    figure_sds: Mapping[str, float] = field(default_factory=dict, hash=False)
    curve_of: str = USUAL_CURVE
    curve: tuple[float, ...] = ()
    curve_epochs: tuple[int, ...] = ()
    curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict, hash=False)
    measures: Mapping[str, float] = field(default_factory=dict, hash=False)
    measured_epochs: tuple[int, ...] = ()
    measure_curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict, hash=False)
    records: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(default_factory=dict, hash=False, repr=False)
    seconds: float | None = None
    code: str | None = None
    status: str = STATUS_OK
    number: int | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the trained candidate may be ranked."""
        return self.status == STATUS_OK

    @property
    def group(self) -> Group:
        """Whether it was selected, or is of the control group; "other" in a user's own Optuna study."""
        return "control" if self.chosen_by == CONTROL else "other" if self.chosen_by in OTHERS else "selected"

    @property
    def is_pruned(self) -> bool:
        """Whether the training was ended because others did better by then; ``curve`` is what is known of it."""
        return self.status.startswith(PRUNED)

    def flat(self) -> dict[str, Any]:
        """Return all but the curves as numbers and texts: ``training_NAME``, ``measure_NAME``, own figures by name."""
        values = {k: v for k, v in vars(self).items() if k not in (*CURVES, *TABLES, "code")}
        training = {f"training_{name}": value for name, value in self.training.items()}
        measures = {f"measure_{name}": value for name, value in self.measures.items()}
        return values | self.own_figures() | training | measures

    def own_figures(self) -> dict[str, float]:
        """Return the figures of a user's own trainer and their standard deviations, by name."""
        return {**self.figures, **{sd_name(name): value for name, value in self.figure_sds.items()}}

    def figure(self, name: str) -> float | None:
        """Return a figure by its name; None if it is not there."""
        if name in self.figures:
            return self.figures[name]
        value = getattr(self, name, None)
        return float(value) if isinstance(value, (int, float)) else None

    def figure_sd(self, name: str) -> float | None:
        """Return the standard deviation of a figure over seeds; None if there is none."""
        return self.figure_sds.get(name, getattr(self, sd_name(name), None))

    @property
    def description(self) -> str:
        """Short text of what it is (see `describe`)."""
        return describe(self.architecture, self.training)


@dataclass(frozen=True, kw_only=True)
class Underway:
    """A training that waits for a worker, or runs.

    Attributes:
        training: What is known of it beforehand: its candidate, by whom it was chosen and why, what is predicted.
        is_running: Whether a worker has it.
        worker: Name of the worker that has it, as far as it is one of ours.
        started: When that began, by the worker's clock.
        curve: Mean validation loss after each epoch so far.
    """

    training: TrainedCandidate
    is_running: bool
    worker: str | None = None
    started: datetime | None = None
    curve: tuple[float, ...] = ()


def family_of(architecture: str) -> str:
    """Return the family in an architecture's canonical JSON, without reading the rest of it."""
    found = _FAMILY.search(architecture)  # cannot lie inside a text, whose quotes have a backslash
    return found[1] if found else str(json.loads(architecture)["family"])


_FAMILY = re.compile(r',"family":"(\w+)"')  # with a brace in the comma's place, searching takes three times as long

# What tells networks of a family apart at first sight, in the order in which one says it.
SHAPE = (
    *("model", "configuration", "depth", "stages", "depths", "blocks", "width", "widths", "width_factor", "channels"),
    *("embed_dim", "heads", "patch"),
)


def describe(architecture: str, training: Mapping[str, Any] | None = None) -> str:
    """Return a short text for an architecture's canonical JSON, such as ``fc depth=3 width=100 init=he_normal``.

    What was searched of its training follows. Parameters at a value that says "without" (0, false, no arguments) and
    some defaults are left out.

    Raises:
        StorageError: It is no JSON, as somebody altered it where it is stored.
    """
    with reading(f"the architecture {shown(architecture)} cannot be read", kind=StorageError):
        values = json.loads(architecture)
    family = values.pop("family")
    shape = [k for k in SHAPE if k in values]
    rest = sorted(k for k in values if k not in shape and k not in ("init_scale", "bias", "activation"))
    parts = [f"{k}={_short(values[k])}" for k in [*shape, *rest] if not _is_left_out(k, values[k])]
    if values.get("activation", "relu") != "relu":
        parts.append(f"activation={values['activation']}")
    if values.get("init_scale", 1.0) != 1.0:
        parts.append(f"init_scale={values['init_scale']}")
    if values.get("bias", True) is not True:
        parts.append(f"bias={values['bias']}")
    parts += [f"{k}={_short(v)}" for k, v in sorted((training or {}).items())]
    return " ".join([family, *parts])


def _is_left_out(key: str, value: Any) -> bool:
    return value in (0, False, 0.0, "", "{}") or (key == "taper" and value == 1.0)


def part_of_list(values: Mapping[str, Any], name: str) -> Any:
    """Return the value of a parameter, or of a place of a list, by its name in a trial; None if it has none."""
    if name in values:
        return values[name]
    key, _, place = name.rpartition("_")
    found = values.get(key)
    is_place = isinstance(found, (list, tuple)) and place.isdecimal() and int(place) < len(found)
    return found[int(place)] if found is not None and is_place else None


def list_text(values: Iterable[Any]) -> str:
    """Return a list of values in short, such as ``500-300-100``."""
    return "-".join(str(_short(v)) for v in values)


def _short(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list_text(value)
    return f"{value:.3g}" if isinstance(value, float) else value
