"""Topics of ``nas-sens help``, each the docstring of what it is about, and the topic that an error belongs to."""

from __future__ import annotations

import importlib
import inspect
import re
import traceback
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from ..core.text import without_roles

SECTIONS = {
    "study": "study.study_spec:StudySpec",
    "data": "data.data_spec:DataSpec",
    "score": "study.score_spec:ScoreSpec",
    "search": "study.study_spec:SearchSpec",
    "select": "study.select_spec:SelectSpec",
    "train": "study.train_spec:TrainSpec",
    "figures": "study.figure_spec:FigureSpec",
    "search_space": "study.search_space:SearchSpace",
    "constraints": "study.constraints:LatencySpec",
}
# A room of the package to the topic of what goes wrong with its input; ``doctor`` is a command.
_ROOMS = {
    "data": "data",
    "architectures": "search_space",
    "study": "study",
    "metrics": "score",
    "scoring": "score",
    "samplers": "search",
    "selection": "select",
    "training": "train",
    "recordings": "train",
    "storage": "doctor",
}
_PACKAGE = Path(__file__).parents[1]
_KEY = re.compile(rf"(?<![\w.'])({'|'.join(SECTIONS)})\.\w|\[({'|'.join(SECTIONS)})\]|'({'|'.join(SECTIONS)})\.\w")


def topic_names() -> list[str]:
    """Return the names of all topics but commands."""
    return [*SECTIONS, *_others()]


def text_of(topic: str) -> str | None:
    """Return what there is to read of a topic; None if there is no such topic."""
    if topic in SECTIONS:
        module, _, name = SECTIONS[topic].partition(":")
        return _of_class(getattr(importlib.import_module(f"{__package__.rpartition('.')[0]}.{module}"), name))
    found = _others().get(topic)
    return found if found is None or isinstance(found, str) else _of_class(found)


def where_to_read(error: BaseException, command: str | None) -> str:
    """Return the command that shows what there is to read of an error's topic; "" if none does.

    Args:
        error: The error, with its traceback.
        command: The command that it ended.
    """
    if match := _KEY.search(str(error)):
        return f"nas-sens help {next(filter(None, match.groups()))}"
    frames = [Path(f.filename) for f in traceback.extract_tb(error.__traceback__)]
    rooms = [f.relative_to(_PACKAGE).parts[0] for f in frames if f.is_relative_to(_PACKAGE)]
    topic = next((_ROOMS[room] for room in reversed(rooms) if room in _ROOMS), command)
    if topic == "doctor":
        return "nas-sens doctor"
    return "" if topic is None else f"nas-sens help {topic}"


def _others() -> dict[str, Any]:
    """Return families by name, and the texts on metrics, data sets and rules."""
    from ..architectures import families
    from ..data import DATASETS
    from ..metrics import metrics
    from ..selection import RULES

    return {
        **{name: _plain(rule) for name, rule in RULES.items()},
        **{name: _with_module(dataset.load) for name, dataset in DATASETS.table().items()},
        **{name: _with_module(metric.function) for name, metric in metrics().items()},
        **families(),
    }


def _with_module(function: Any) -> str:
    """Return the docstring of a function behind that of its module."""
    return f"{_plain(inspect.getmodule(function))}\n\n{_plain(function)}"


def _plain(thing: Any) -> str:
    return without_roles(inspect.getdoc(thing) or "there is no text on it")


def _of_class(cls: type) -> str:
    """Return the docstring of a declared class, with the defaults of its keys."""
    text = _plain(cls).replace("\nArgs:\n", "\nKeys:\n")
    if not is_dataclass(cls):
        return text
    known = {f.name: f.default for f in fields(cls) if f.init and f.default not in (MISSING, None)}
    return text + "\n\nDefaults:\n" + "\n".join(f"    {name} = {_as_toml(value)}" for name, value in known.items())


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
