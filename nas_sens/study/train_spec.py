"""TrainSpec: how candidates are trained, as declared in ``[train]`` of a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

from ..core.candidates import ON_TRAIN
from ..core.user_code import named
from ..data import Task
from ..data.augmentation import Augmentation
from ..data.image_transforms import make_transforms
from ..metrics import METRICS
from ..recordings import RECORDINGS

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Literal["cross_entropy", "mse", "brier"]
# What a search space may search with the architecture: how weights are found, not for how long. Label noise,
# augmentation and the number of samples are factors of experiments; what outcomes are compared by stays as it is.
SEARCHABLE = (
    *("optimizer", "learning_rate", "schedule", "warmup_epochs", "min_learning_rate", "decay_epochs", "decay_rate"),
    *("weight_decay", "momentum", "nesterov", "max_gradient_norm", "batch_size"),
    *("label_smoothing", "mixup", "cutmix", "ema_decay", "layer_decay", "accumulate"),
    *("label_noise", "augmentation", "samples"),
)
Pruner = Literal["none", "asha", "hyperband", "median"]


def _kinds(value: Any) -> Any:
    """Return kinds of augmentation in one word as a tuple, and none as an empty one: spaces choose among words."""
    return (() if value == "none" else tuple(value.split("+"))) if isinstance(value, str) else value


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class TrainSpec:
    """How candidates are trained.

    Args:
        trainer: A function of one's own that trains a network, ``module:function`` or the function itself: it takes
            the network and a :class:`~nas_sens.training.job.Job`, and returns its figures by name. None for the tool's
            own training. What else is declared here is then only what its job tells it, but for ``seeds``, ``pruner``,
            ``metrics`` and what these are taken on.
        epochs: At most so many passes over the training set.
        optimizer: ``adam``, ``adamw``, ``sgd``, ``rmsprop`` or ``lbfgs`` (PyTorch's). ``lbfgs`` needs
            ``batch_size = "full"``; its epoch is up to 20 iterations with a line search by the strong Wolfe conditions.
        learning_rate: Learning rate before the schedule; 1 is usual for ``lbfgs``.
        schedule: timm's schedule of the learning rate, a step an epoch: ``constant``, ``cosine`` and ``tanh`` (down to
            ``min_learning_rate`` in ``epochs``), ``step`` (times ``decay_rate`` every ``decay_epochs``) or
            ``multistep`` (times ``decay_rate`` from each epoch on that ``decay_epochs`` lists, the first being 1).
        warmup_epochs: Epochs in which the learning rate rises in equal steps: epoch t of w trains with t/(w+1) of it.
        min_learning_rate: See ``schedule``.
        decay_epochs: See ``schedule``: a number, or for ``multistep`` a list.
        decay_rate: See ``schedule``.
        weight_decay: As the optimizer of that name in PyTorch understands it.
        momentum: Of ``sgd`` and ``rmsprop``.
        nesterov: Whether the momentum of ``sgd`` is Nesterov's.
        layer_decay: Factor of the learning rate from each group of layers to the one before it, the last layers having
            all of it; biases and norms then have no weight decay. Layers are timm's groups, of other networks the
            modules with a weight matrix in their order. 1 for one rate.
        ema_decay: Share of an average of all weights so far that is kept at a step (timm's ``ModelEmaV3``): the network
            that is evaluated, measured and kept is the average; None for the weights themselves.
        max_gradient_norm: Norm of all gradients together above which they are scaled down to it; None for never.
        batch_size: Samples of a pass through the network; ``full`` for the whole training set.
        accumulate: Passes whose gradients are added before a step, which is then that of so many times more samples;
            batch normalisation sees those of a pass.
        loss: ``cross_entropy``; ``mse``: mean over classes of the squared distance of outputs to one-hot targets; or
            ``brier``: sum over classes of that of class probabilities, the ℓ₂ loss of novak2018. Regressions have
            ``mse`` always, several labels at once ``cross_entropy``, which is binary then, its mean over labels. All
            losses that are reported are of this kind.
        class_weights: How much classes count in the training loss: ``none`` for every sample alike, ``balanced`` for
            every class alike, its samples by n / (K · n_class), or a list of a weight for each class, in their order.
            The weights of samples, with those of ``[data] weight``, are scaled to a mean of 1. With several labels at
            once a weight is what the loss of a true label is multiplied by, ``balanced`` the number of false ones by
            that of true ones. Losses and errors of the trained network count every sample once.
        label_smoothing: Share of a label's weight that is spread over all classes in the training loss.
        mixup: Parameter α of the Beta distribution of how much of an image of the same batch is added to each (mixup,
            Zhang et al. 2018), its label likewise; 0 for none. Together with ``cutmix``, each batch has either one.
            Loss and error of the training batches are of the mixed ones.
        cutmix: The same for a rectangle that is replaced (CutMix, Yun et al. 2019).
        augmentation: Any of ``translation`` (by up to ``max_translation`` pixels along each axis, wrapping around),
            ``flip`` (left and right, with probability ½), ``vertical_flip``, ``rotation`` (by a random multiple of
            90°, square images only); of training images, anew in every batch. Several in one word, of which a
            search space chooses, have a ``+`` between them: ``translation+flip``; ``none`` is no kind.
        max_translation: See ``augmentation``.
        transforms: Transforms of ``torchvision.transforms.v2`` that training images go through after ``augmentation``,
            on their device, such as ``[{name = "RandomErasing", p = 0.25}]``: their names and arguments. Each eighth of
            a batch has draws of its own. Pixels are in [0, 1] unless ``[data] standardize`` is set.
        timm_transform: Arguments of timm's ``create_transform``, such as ``{scale = [0.35, 1.0], auto_augment =
            "rand-m9-mstd0.5-inc1"}``: training pictures are cropped, resized and changed as in timm's own trainings,
            each from its file where they lie in files; ``{}`` is timm's default, a crop of 8 to 100 % of the area, and
            a flip. ``re_prob`` and other arguments of random erasing have no effect: take ``transforms``. Validation,
            test and scoring see pictures as ``[data]`` says.
        samples: Train on so many of the training set only, with its classes in proportion: other ones for every seed,
            but the same for all architectures, and fewer are a part of more. None for all of it. Figures and measures
            of the training set are of these; validation and test sets stay as they are.
        label_noise: Share of training labels that are swapped for another class, drawn for every seed. Figures of the
            training set are for the labels that were trained on; validation and test labels stay true.
        noisy_epochs: None to train on the noisy labels throughout. Else so many epochs on them come before the
            ``epochs`` on the true labels (liao2018, random pre-training), the latter with a new optimizer and schedule.
        compile: Whether the network is compiled for the passes of training (``torch.compile``).
        precision: ``bfloat16`` or ``float16`` for PyTorch's automatic mixed precision on CUDA; ``bfloat16`` also on
            CPUs that have instructions for it. Elsewhere all is ``float32``.
        seeds: Trainings per candidate: initial weights, order of samples, dropout, augmentation and label noise differ.
        stop_loss: Stop once the training loss has been under this for ``stop_epochs`` epochs; None for never
            (forouzesh2020 uses 1e-5 for 10 epochs).
        stop_epochs: See ``stop_loss``.
        stop_train_error: Stop once the error on the training set, in evaluation mode, is at most this; 0 stands for an
            accuracy of 100 %. Costs an evaluation of the training set an epoch.
        max_seconds: Stop after the first epoch that ends so long after the start. How many epochs that are depends on
            the machine: results are then not reproducible.
        table: CSV file in which outcomes are looked up instead of training anything (see
            :mod:`nas_sens.training.outcome_lookup`); in a study's file, a relative path may start from there. None for
            training.
        temperature_scaling: Whether to divide the outputs of every trained network by the temperature that minimises
            its cross-entropy on the validation set, before losses are compared: errors stay, losses no longer tell
            confidence from mistakes, and S and the predicted loss are those of the divided outputs (forouzesh2020,
            section VI). Weights are stored as trained, the temperature beside them.
        pruner: Optuna's pruner of trainings whose validation loss is worse than that of others after as many epochs:
            ``asha``, ``hyperband``, ``median`` or ``none``. It judges the first seed; the control group is not pruned.
        metrics: Measures of the trained network (``nas-sens list metrics``), stored with it.
        metrics_every: Take them also before training and after every so many epochs; None for the end only.
        metrics_inputs: On how many inputs of ``metrics_on``, its classes in proportion, in one pass; the same whenever
            it is measured and for all architectures.
        metrics_on: ``validation``, ``train`` with the labels that are trained on, or ``both``: what is measured on the
            training set then has ``_on_train`` behind its name.
        recordings: Arrays of the trained network that are kept for figures, as ``nas-sens list recordings``
            has them: ``points`` (loss and Jacobian norm of single inputs), ``bias_variance`` (of single inputs, over
            seeds), ``stiffness`` (by classes and by distance), ``trajectories`` and ``slice`` (near training inputs
            and away from them). They are taken at the end; at most 2,000 numbers each.
        recording_epochs: Take them also after these epochs, 0 being before training; at most 20 of them.
        recording_inputs: Of how many inputs, the classes of their set in proportion.
        checkpoint_seconds: A training that is killed goes on from a state at most so old. No part of the protocol.
    """

    trainer: Annotated[str, BeforeValidator(named)] | None = None
    epochs: Positive = 60
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"] = "adam"
    learning_rate: AboveZero = 1e-3
    schedule: Literal["constant", "cosine", "tanh", "step", "multistep"] = "constant"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    min_learning_rate: NotNegative = 0.0
    decay_epochs: Positive | Annotated[tuple[Positive, ...], Field(strict=False)] = 30
    decay_rate: AboveZero = 0.1
    weight_decay: NotNegative = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    max_gradient_norm: AboveZero | None = None
    batch_size: Positive | Literal["full"] = 128
    accumulate: Positive = 1
    loss: Loss = "cross_entropy"
    class_weights: Literal["none", "balanced"] | Annotated[tuple[AboveZero, ...], Field(strict=False)] = "none"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    augmentation: Annotated[tuple[Augmentation, ...], Field(strict=False), BeforeValidator(_kinds)] = ()
    max_translation: Positive = 4
    transforms: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    timm_transform: dict[str, Any] | None = None
    samples: Positive | None = None
    label_noise: Share = 0.0
    noisy_epochs: Positive | None = None
    compile: bool = False
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    seeds: Positive = 2
    stop_loss: AboveZero | None = None
    stop_epochs: Positive = 10
    stop_train_error: Share | None = None
    max_seconds: AboveZero | None = None
    table: str | None = None
    temperature_scaling: bool = False
    pruner: Pruner = "none"
    metrics: Annotated[tuple[str, ...], Field(strict=False)] = ()
    metrics_every: Positive | None = None
    metrics_inputs: Positive = 64
    metrics_on: Literal["validation", "train", "both"] = "validation"
    recordings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    recording_epochs: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, max_length=20)] = ()
    recording_inputs: Positive = 200
    checkpoint_seconds: NotNegative = 30.0

    @property
    def n_epochs(self) -> int:
        """Number of epochs at most, those on noisy labels included."""
        return self.epochs + (self.noisy_epochs or 0)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names under which measures are stored."""
        more = tuple(name + ON_TRAIN for name in self.metrics) if self.metrics_on == "both" else ()
        return (*self.metrics, *more)

    def loss_for(self, task: Task) -> Loss:
        """Return the loss that a task is trained with."""
        known: dict[Task, Loss] = {"regression": "mse", "multilabel": "cross_entropy"}
        return known.get(task, self.loss)

    @model_validator(mode="after")
    def _check_lbfgs(self) -> TrainSpec:
        if self.optimizer != "lbfgs":
            return self
        if self.batch_size != "full":
            raise ValueError(f'needs batch_size = "full" with optimizer "lbfgs"; given {self.batch_size}')
        nothing: tuple[tuple[str, Any], ...] = (
            *(("weight_decay", 0.0), ("max_gradient_norm", None), ("precision", "float32")),
            *(("mixup", 0.0), ("cutmix", 0.0), ("layer_decay", 1.0), ("ema_decay", None)),
        )
        for key, none in nothing:
            if getattr(self, key) != none:
                raise ValueError(f'cannot have {key} with optimizer "lbfgs"; given {getattr(self, key)!r}; remove it')
        return self

    @model_validator(mode="after")
    def _check_transforms(self) -> TrainSpec:
        if self.transforms:
            make_transforms(self.transforms)
        return self

    @model_validator(mode="after")
    def _check_temperature(self) -> TrainSpec:
        if self.temperature_scaling and self.loss != "cross_entropy":
            raise ValueError(f'needs loss "cross_entropy" for temperature_scaling; given {self.loss!r}')
        return self

    @model_validator(mode="after")
    def _check_measures(self) -> TrainSpec:
        for name in self.metrics:
            METRICS.get(name)
        if self.metrics_every is not None and not self.metrics:
            raise ValueError(f"needs a list metrics for metrics_every; given metrics_every = {self.metrics_every}")
        return self

    @model_validator(mode="after")
    def _check_records(self) -> TrainSpec:
        for name in self.recordings:
            RECORDINGS.get(name)
        if self.recording_epochs and not self.recordings:
            raise ValueError(
                f"needs a list recordings for recording_epochs; given recording_epochs = {self.recording_epochs}"
            )
        late = [e for e in self.recording_epochs if e > self.n_epochs]
        if late:
            raise ValueError(f"cannot have recording_epochs after the last of {self.n_epochs} epochs; given {late}")
        return self

    @model_validator(mode="after")
    def _check_options(self) -> TrainSpec:
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError(
                'needs optimizer "sgd" and a momentum above 0 for nesterov; '
                f"given {self.optimizer!r} and momentum = {self.momentum}"
            )
        if (self.schedule == "multistep") != isinstance(self.decay_epochs, tuple):
            raise ValueError(
                f'needs a list of epochs as decay_epochs with schedule "multistep", a number with any other; given '
                f"schedule = {self.schedule!r}, decay_epochs = {self.decay_epochs!r}"
            )
        if self.noisy_epochs is not None and self.label_noise == 0:
            raise ValueError(f"needs a label_noise above 0 for noisy_epochs; given noisy_epochs = {self.noisy_epochs}")
        return self
