"""What a shell completes: names of studies in the database, and of what there is to choose from.

A shell that completes shows nothing but completions: whatever goes wrong here comes to none. Neither PyTorch nor the
modules of metrics, families and data sets are imported, which would take seconds; their files are looked through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from glob import escape, glob
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..core.declarations import bundled
from ..storage.study_listing import listed_names
from ..storage.url import storage_url
from .topics import SECTIONS

_PACKAGE = Path(__file__).parents[1]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _silent(names: Callable[[click.Context, str], Iterable[str]]) -> Complete:
    """Return a completer of click's, which completes nothing where anything fails."""

    @wraps(names)
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(name) for name in names(context, incomplete) if name.startswith(incomplete)]
        except Exception:  # a database that is away, say: nobody asked for its errors
            return []

    return complete


@_silent
def stored_studies(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return the names of studies in the database of ``--storage``, the newest first."""
    given: dict[str, Any] = context.params
    return listed_names(storage_url(given.get("storage")), is_optuna=bool(given.get("is_optuna")))


@_silent
def declared_studies(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return the names of bundled studies, and paths of TOML files."""
    return [*bundled("studies"), *_paths(incomplete, (".toml",))]


@_silent
def search_spaces(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return the names of bundled search spaces, and paths of TOML files."""
    return [*bundled("search_spaces"), *_paths(incomplete, (".toml",))]


@_silent
def data_sets(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return the names of data sets; behind the colon of one that is a path, the paths."""
    kind, colon, place = incomplete.partition(":")
    if colon:
        return [f"{kind}:{path}" for path in _paths(place)]
    return data_set_names()


@_silent
def networks(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return how the text of a network may begin: with an architecture family, or timm's name."""
    return [f"{name}:" for name in family_names()]


@_silent
def metrics(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return lists of metrics with one more name."""
    return _longer_lists(incomplete, ["all", *metric_names()])


@_silent
def rules(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return lists of selection rules with one more name."""
    from ..selection import RULES

    return _longer_lists(incomplete, RULES)


@_silent
def help_topics(context: click.Context, incomplete: str) -> Iterable[str]:
    """Return the names of metrics, families, data sets and tables of a study's file."""
    return [*SECTIONS, *metric_names(), *family_names(), *(name.rstrip(":") for name in data_set_names())]


def metric_names() -> list[str]:
    """Return the names of metrics of one network."""
    return _named_in("metrics", r"^METRIC = Metric\(\s*function=(\w+)")


def family_names() -> list[str]:
    """Return the names of architecture families."""
    return _named_in("architectures", r'^    family: ClassVar\[str\] = "(\w+)"', group="families")


def data_set_names() -> list[str]:
    """Return the names of data sets, with a colon where a path or another name stands behind it."""
    texts = {f.stem: f.read_text(encoding="utf-8") for f in (_PACKAGE / "data").glob("[a-z]*.py")}
    loading = {name: text for name, text in texts.items() if re.search(r"^def load\(", text, re.M)}
    found = [name + ":" * bool(re.search(r"^ARGUMENT = ", text, re.M)) for name, text in loading.items()]
    return sorted([*found, *_installed("datasets")])


def _named_in(room: str, pattern: str, *, group: str | None = None) -> list[str]:
    files = (_PACKAGE / room).glob("*.py")
    found = [name for file in files for name in re.findall(pattern, file.read_text(encoding="utf-8"), re.M)]
    return sorted({*found, *_installed(group or room)})


def _installed(group: str) -> list[str]:
    """Return what installed packages add, by the names of their entry points."""
    return [point.name for point in entry_points(group=f"nas_sens.{group}")]


def _longer_lists(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return a list with commas between, each with another name in the place of what is behind the last comma."""
    before, comma, _ = incomplete.rpartition(",")
    there = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name not in there]


def _paths(beginning: str, suffixes: tuple[str, ...] = ()) -> list[str]:
    """Return folders, with a slash behind, and files with one of the suffixes, all of them for none."""
    there = sorted(glob(escape(beginning) + "*"))
    folders = [f"{p}/" for p in there if Path(p).is_dir()]
    return [p for p in there if Path(p).is_file() and (not suffixes or p.endswith(suffixes))] + folders
