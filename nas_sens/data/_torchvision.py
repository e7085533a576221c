"""What the data sets that torchvision downloads have in common."""

from __future__ import annotations

from typing import Any
from urllib.error import URLError

import numpy as np

from ..core.errors import InvalidInputError, NasSensError
from .samples import LoadOptions, Samples, make_samples


def load_torchvision(dataset: Any, options: LoadOptions, name: str) -> Samples:
    """Return the official training and test set of a torchvision data set class with ``data`` and ``targets``.

    Raises:
        InvalidInputError: The data set is not in ``options.root`` and may not be downloaded.
        NasSensError: The download failed.
    """
    try:
        train, test = (dataset(options.root, train=t, download=options.download) for t in (True, False))
    except URLError as error:
        raise NasSensError(f"data {name!r} could not be downloaded into {options.root!r}: {error.reason}") from error
    except (RuntimeError, OSError) as error:
        if options.download:
            raise NasSensError(f"data {name!r} could not be downloaded into {options.root!r}: {error}") from error
        raise InvalidInputError(
            f"data {name!r} is not in the folder {options.root!r}; set root in [data] to where torchvision put it, "
            "or download = true"
        ) from error
    return make_samples(
        np.asarray(train.data),
        np.asarray(train.targets),
        np.asarray(test.data),
        np.asarray(test.targets),
        source=name,
    )
