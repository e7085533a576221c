"""Keys of studies that earlier revisions stored under other names, or did not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRAIN = {
    "measure": "metrics",
    "measure_every": "metrics_every",
    "measure_inputs": "metrics_inputs",
    "measure_on": "metrics_on",
    "record": "recordings",
    "record_epochs": "recording_epochs",
    "record_inputs": "recording_inputs",
}
_FIGURE = {"record": "recording"}
_ROUNDS = 3  # of studies that were stored before their number could be declared


def with_present_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored study, as JSON-like values, with the keys that studies have now."""
    study = dict(stored)
    study["select"] = {"rounds": _ROUNDS, **stored.get("select", {})}
    study["search"] = {"grow": 0, **stored.get("search", {})}
    study["score"] = {"metrics": (), **stored.get("score", {})}  # which were none by default
    study["train"] = _renamed(stored.get("train", {}), _TRAIN)
    study["figures"] = [_renamed(figure, _FIGURE) for figure in stored.get("figures", ())]
    return study


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
