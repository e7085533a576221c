"""Notes and plots of two studies that become one, as optuna-dashboard keeps them in studies' system attributes.

What nas_sens wrote is left out, as it is written anew. What somebody else wrote is kept, all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .saved_notes import NOTE_MARK, PLOT

_NOTE = re.compile(r"(dashboard:(?:\d+:)?)note_(?:ver|str:(\d+))")  # of a trial by its identifier, or of the study
_OF_STUDY = "dashboard:"
_PLOT = re.compile(r"dashboard:plot_data:(.*):(\d+)")
_PART = 2045  # characters that optuna-dashboard writes into one attribute


class _Note(NamedTuple):
    version: int
    text: str


def merged_attributes(own: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the system attributes of one study that was two.

    Args:
        own: Those of the study that stays; where both have a key that is of neither a note nor a plot, its value stays.
        other: Those of the study that goes.
    """
    notes, others = _notes(own), _notes(other)
    if _OF_STUDY in notes and _OF_STUDY in others:
        first, second = notes[_OF_STUDY], others[_OF_STUDY]
        others[_OF_STUDY] = _Note(max(first.version, second.version), f"{first.text}\n\n{second.text}")
    merged = {k: v for k, v in {**other, **own}.items() if not _NOTE.fullmatch(k) and not _PLOT.fullmatch(k)}
    for prefix, note in (notes | others).items():
        merged[f"{prefix}note_ver"] = note.version
        parts = range(0, len(note.text), _PART)
        merged |= {f"{prefix}note_str:{n}": note.text[i : i + _PART] for n, i in enumerate(parts)}
    plots = _plots(own)
    for name, texts in _plots(other).items():
        plots[f"{name} (trainings)" if name in plots else name] = texts
    return merged | {f"dashboard:plot_data:{n}:{i}": text for n, texts in plots.items() for i, text in texts.items()}


def _notes(attributes: Mapping[str, Any]) -> dict[str, _Note]:
    """Return the notes that somebody wrote or edited, by the beginning of their keys."""
    versions: dict[str, int] = {}
    parts: dict[str, dict[int, str]] = {}
    for key, value in attributes.items():
        if found := _NOTE.fullmatch(key):
            if found[2] is None:
                versions[found[1]] = int(value)
            else:
                parts.setdefault(found[1], {})[int(found[2])] = str(value)
    texts = {prefix: "".join(text for _, text in sorted(some.items())) for prefix, some in parts.items()}
    return {p: _Note(versions.get(p, 0), text) for p, text in texts.items() if text and NOTE_MARK not in text}


def _plots(attributes: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """Return the plots that somebody else made: name to number of a part to that part."""
    plots: dict[str, dict[int, str]] = {}
    for key, value in attributes.items():
        if (found := _PLOT.fullmatch(key)) and found[1] != PLOT:
            plots.setdefault(found[1], {})[int(found[2])] = value
    return plots
