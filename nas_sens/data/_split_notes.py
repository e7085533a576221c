"""What is told of data once they are split: features of very different scale, classes that a part lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .splits import Splits

_FAR_APART = 1e3  # how many times the usual standard deviation one must be for a note


def scale_notes(splits: Splits) -> list[str]:
    """Return what is said of features that lie so far apart that one hides the others."""
    x = splits.x_train
    deviation = x.std(0) if len(x) > 1 else torch.zeros(1)
    varying = deviation[deviation > 0]
    notes = []
    if len(varying) > 1 and float(varying.max()) > _FAR_APART * float(varying.median()):
        largest = int(deviation.argmax())
        name = repr(splits.feature_names[largest]) if splits.feature_names else f"number {largest}"
        notes.append(
            f"features of very different scale: the standard deviation of {name} is {float(varying.max()):.3g}, that "
            f"of most others about {float(varying.median()):.3g}; set standardize = true in [data]"
        )
    if x.dtype == torch.float64:
        notes.append(
            "some features are large beside their differences, which are lost in float32; set standardize = true in "
            "[data], or leave them out"
        )
    return notes


def absent_notes(splits: Splits) -> list[str]:
    """Return what is said of classes that a part has no sample of."""
    notes = []
    for part, y in (("training", splits.y_train), ("validation", splits.y_val), ("test", splits.y_test)):
        absent = (torch.bincount(y, minlength=splits.n_outputs) == 0).nonzero().flatten().tolist()
        if absent:
            names = [repr(splits.class_names[c]) if splits.class_names else str(c) for c in absent]
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            notes.append(f"the {part} set has no sample of the class {shown}")
    return notes
