"""DataSpec: which data a study uses and how they are split, as declared in ``[data]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as declared

from ..core.user_code import named
from ._layout import Layout
from .csv_spec import CsvSpec

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class DataSpec:
    """Which data a study uses, and how they are split.

    Args:
        name: A data set, as ``nas-sens list data`` shows them, or one with an argument: ``npz:PATH``, ``csv:PATH``,
            ``folder:PATH``, ``hf:NAME``; or a function of one's own that returns ``ns.Data``, as ``module:function`` or
            the function itself. A path is no part of a study's protocol, which the data's fingerprint is.
        target: Column to predict (``csv``, ``hf``); None where the data set knows it.
        task: What is to be learnt: ``classification``, ``regression``, or ``auto`` to tell from the data. In tables,
            ``auto`` takes a target of text or truth values, or of at most 20 different whole numbers, for classes, and
            any other for a quantity; arrays (``npz``) hold classes unless this says ``regression``.
        image_size: Pixels to resize images to (``folder``, ``hf``), one number for squares or [height, width]; the
            aspect is not kept. None where all images have one size once they are turned upright.
        drop: Columns of a table (``csv``, ``hf``) to leave out.
        csv: How a file is to be read (``csv``): separator, encoding, header line and so on. None to tell from it.
        layout: Order of the axes of arrays (``npz``): ``nchw`` and ``nhwc`` for images, channels first or last,
            ``nhw`` for grey ones, ``ncl`` and ``nlc`` for sequences, ``auto`` to tell from the shape.
        train_samples: Size of the training subset, class-balanced; None for all that the split leaves.
        val_fraction: Part of the training data held out for selection, unless the data set has a validation set.
        test_fraction: Part held out for the report where the data set has no official test set.
        val_samples: At most so many validation samples, stratified by class; None for all.
        test_samples: At most so many test samples, stratified by class; None for all.
        standardize: Subtract the training set's mean from inputs and divide by its standard deviation, per channel
            (images) or per feature; otherwise inputs stay raw, images in [0, 1]. The targets of a regression are left
            in their own units always.
        unit_norm: Divide every input by its Euclidean norm, after standardising; inputs of zeros stay (fort2019,
            section 3.1). Input noise, whose standard deviation does not follow, is then far larger beside them.
        unit_variance: Subtract from every input its own mean and divide by its own standard deviation, after
            standardising, so that inputs of d numbers lie on the sphere of radius √d; constant ones become zeros
            (novak2018, section A.5). Not together with ``unit_norm``.
        split: Which sample is in which part, ``train``, ``val`` or ``test``. For pictures (``folder``) a CSV
            file with the columns ``file``, paths from the folder, and ``part``; what it does not name is left out. For
            a table (``csv``) one of its columns. A part that no row names is held out of ``train``. Which file it is
            is no part of the protocol, as the fingerprint knows the parts.
        group: Column of the table, or of the file ``split``, whose equal values stay in one part, such as a patient.
        weight: Column of the table, or of the file ``split``, with how much a sample counts in training, from 0; they
            are scaled to a mean of 1. Figures of all parts count every sample once.
        load: Where pictures are (``folder``, ``hf``, ``shards``, functions): ``memory`` decodes all of them at
            the start, ``stream`` leaves them in their files, so that memory does not grow with their number: what is
            scored with is decoded when it is needed, what is trained on once, into a cache of this machine. ``auto``
            streams pictures of more than 64 MiB in all, at 1 byte a number. No part of the protocol.
        workers: How many processes decode streamed pictures; None for one a core, at most eight; 0 for none beside the
            training itself. No part of the protocol.
        root: Folder where downloaded data sets lie.
        download: Whether a data set may be downloaded into ``root``.
        seed: Seed of the split.
    """

    name: Annotated[str, BeforeValidator(named)]
    target: str | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    image_size: Positive | Annotated[tuple[Positive, Positive], Field(strict=False)] | None = None
    drop: Annotated[tuple[str, ...], Field(strict=False)] = ()
    csv: CsvSpec | None = None
    layout: Layout = "auto"
    train_samples: Positive | None = None
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2
    val_samples: Positive | None = None
    test_samples: Positive | None = None
    standardize: bool = False
    unit_norm: bool = False
    unit_variance: bool = False
    split: str | None = None
    group: str | None = None
    weight: str | None = None
    load: Literal["auto", "memory", "stream"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None
    root: str = "data"
    download: bool = False
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        """Check that keys go together.

        Raises:
            ValueError: They do not.
        """
        if self.unit_norm and self.unit_variance:
            raise ValueError("unit_norm and unit_variance do not go together; given both true, keep one")

    @property
    def per_input(self) -> str:
        """What is done to every input by itself, a key of `PER_INPUT`; empty for nothing."""
        return next((key for key in ("unit_norm", "unit_variance") if getattr(self, key)), "")
