"""How quantities of trained networks are called on axes, with their units."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

from ..core.candidates import ON_TRAIN
from ..core.figures import BY_NAME, Figure
from ..study.figure_spec import LOG10
from ..study.quantity_names import GAP, OVER, RECORD, parts_of
from .text import Wording

_MEASURES = {
    "jacobian_norm": "Jacobian norm (per unit of input)",
    "normalized_loss": "normalised loss (nats)",
    "l1_normalized_loss": "loss normalised by L1 norms (nats)",
    "output_normalized_loss": "loss normalised by one output (nats)",
    "normalized_margin": "centred margin of normalised outputs",
    "smallest_margin": "smallest margin of normalised outputs",
    "normalized_top_output": "normalised output of the likeliest class",
    "normalized_top_spread": "spread of normalised outputs of the likeliest class",
    "class_diameter": "largest distance within a class (1 − cos of inputs)",
    "norm_product": "log₁₀ product of layer norms",
    "bias_term": "Σ of biases, eq. 8 (output units²)",
    "label_distance": "distance of probabilities to the label ÷ √2",
    "wrong_margin": "margin of wrong inputs (largest − true output)",
    "softmax_sensitivity": "S behind the softmax",
    "output_sensitivity": "S after training (output units²)",
    "critical_length": "critical length ξ (1 − cos of inputs)",
    "cosine_critical_length": "critical length ξ (1 − cos of inputs)",
    "stiffness": "sign stiffness",
    "linear_regions": "transitions around an image",
    "curvature": "curvature around an image (outputs per unit of input)",
}
_OTHERS = {
    "params": "parameters",
    "flops": "FLOPs",
    "training_samples": "training samples",
}
_ARRAYS = {
    "jacobian_norm": "Jacobian norm ‖J‖ (per unit of input)",
    "class_norm": "norm ‖J_y‖ of the true class (per unit of input)",
    "position": "position on the ellipse (1 = one round)",
    "norm": "Jacobian norm (per unit of input)",
    "density": "transitions per unit of length",
    "distance": "rms distance to the nearest training input",
}
_LINES = {"same": "through three of one class", "different": "through three classes", "random": "random"}
_PAIRS = {"train_train": "training–training", "train_val": "training–validation", "val_val": "validation–validation"}
_LINE = 40  # characters, as long as a side of a panel


def axis_label(name: str, wording: Wording, *, more: str = "") -> str:
    """Return the label of an axis in lines that fit beside it; arguments as for :func:`label_of`, then what follows."""
    return "\n".join([fitted(label_of(name, wording)), *([more] if more else [])])


def fitted(text: str) -> str:
    """Return a text in lines that fit beside an axis."""
    return textwrap.fill(text, _LINE)


def array_label(name: str, wording: Wording) -> str:
    """Return the label of an axis that shows an array of a record; of a family of arrays what they have in common."""
    if name == "loss":
        return f"loss of the input ({wording.loss_unit})"
    if name.startswith(tuple(_PAIRS)):
        return fitted(_pairs_label(name))
    base, _, kind = name.rpartition("_")
    known = _ARRAYS.get(name) or (_ARRAYS.get(base) if kind in _LINES else None)
    return fitted(known or name.replace("_", " "))


def _pairs_label(name: str) -> str:
    """Return what stiffness of pairs is called, from the general to the particular, with commas between."""
    mode = next(mode for mode in _PAIRS if name.startswith(mode))
    kind, _, part = name.removeprefix(mode + "_").partition("_")
    pairs = f"{_PAIRS[mode]} pairs"
    if part == "xi":
        return f"critical length ξ (1 − cos of inputs), {kind} stiffness, {pairs}"
    where = {"within": "within classes", "between": "between classes"}.get(part, part.replace("_", " "))
    return ", ".join([f"{kind} stiffness", pairs, *([where] if where else [])])


def common_label(names: Sequence[str], wording: Wording) -> tuple[str, list[str]]:
    """Return what several quantities have in common, for an axis, and what tells each from the others, for a legend."""
    labels = [label_of(name, wording) for name in names]
    parts = [label.split(", ") for label in labels]
    common = [part for part in parts[0] if all(part in other for other in parts)]
    if not common:  # how they end, as in "training loss (nats)" and "validation loss (nats)"
        ends = zip(*(reversed(label.split()) for label in labels), strict=False)
        same = itertools.takewhile(lambda words: len({*words}) == 1, ends)
        return " ".join(reversed([words[0] for words in same])), labels
    rest = [", ".join(part for part in own if part not in common) for own in parts]
    return ", ".join(common), [own or label for own, label in zip(rest, labels, strict=True)]


def _figure_label(figure: Figure, wording: Wording) -> str:
    if figure.name == "predicted_loss":
        return f"loss predicted by {wording.predicted_by} ({wording.loss_unit})"
    units = {"loss": wording.loss_unit, "error": wording.error_unit.replace("%", "fraction")}
    unit = units.get(figure.unit, figure.unit)
    return f"{figure.label} ({unit})" if unit else figure.label


def line_label(name: str) -> str:
    """Return what tells an array from others of its family, for a legend."""
    return _LINES.get(name.rpartition("_")[2], name.replace("_", " "))


_BIAS_VARIANCE = {
    "bias": "squared bias (output units²)",
    "variance": "variance over trainings (output units²)",
    "mse": "mean squared error (output units²)",
    "output_variance": "variance of outputs before the softmax (output units²)",
}


def label_of(name: str, wording: Wording) -> str:
    """Return what a quantity is called, with its unit.

    Args:
        name: Name of a quantity or parameter, as figures are declared with.
        wording: What losses and errors are called in this study.
    """
    if name in wording.own:
        return name
    if OVER in name:
        sign, parts = "log₁₀ " if name.startswith(LOG10) else "", parts_of(name)
        return f"{sign}{' ÷ '.join(label_of(part, wording).partition(' (')[0] for part in parts)}"
    if name in _OTHERS:
        return _OTHERS[name]
    if name in BY_NAME:
        return _figure_label(BY_NAME[name], wording)
    if name.startswith(RECORD + "stiffness_train") or name.startswith(RECORD + "stiffness_val"):
        return _pairs_label(name.removeprefix(RECORD + "stiffness_"))
    if name.startswith(LOG10):
        return f"log₁₀ {label_of(name.removeprefix(LOG10), wording)}"
    if name.startswith("record_bias_variance_"):
        return _BIAS_VARIANCE[name.removeprefix("record_bias_variance_")]
    if name.startswith("measure_") or name.removesuffix(ON_TRAIN) in _MEASURES:
        measure = name.removeprefix("measure_")
        base = measure.removesuffix(ON_TRAIN).removesuffix(GAP)
        where = ", training inputs" if measure.endswith(ON_TRAIN) else ""
        if measure == name and base == "output_sensitivity":  # of a curve
            return f"S (output units²){where}"
        where = ", validation − training inputs" if measure.endswith(GAP) else where
        return _MEASURES.get(base, base.replace("_", " ")) + where
    return name.removeprefix("training_").replace("_", " ")
