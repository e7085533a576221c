"""Studies from TOML files, and from what is stored of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.declarations import locate, validate
from ..core.errors import InvalidInputError
from ..core.messages import shown
from ..core.toml_reader import read_toml
from ..core.user_code import look_beside
from ..data import DATASETS, DataSpec
from .consistency import check_declaration
from .figure_spec import FigureSpec
from .finalists import Finalists
from .full_size import full_table
from .refine_spec import Finalist, RefineSpec
from .score_spec import ScoreSpec
from .search_space import SearchSpace, load_space, space_of_table
from .select_spec import SelectSpec
from .stored_names import with_present_names
from .study_spec import SearchSpec, StudySpec
from .train_spec import TrainSpec

_SECTIONS = {"data": DataSpec, "score": ScoreSpec, "select": SelectSpec, "train": TrainSpec}


def load_study(source: str | Path | StudySpec, *, full: bool = False) -> StudySpec:
    """Return the study of a bundled name or of a TOML file; a StudySpec is returned as it is.

    Args:
        source: For example ``"quickstart"`` or ``"my/study.toml"``.
        full: Whether to take the study at its full size: what stands in its table ``[full]`` replaces what stands
            outside it, key by key, and ``-full`` is added to its name.

    Raises:
        InvalidInputError: There is no such study, its declaration is wrong, or it has no table ``[full]``.
    """
    spec, where = read_study(source, full=full)
    check_declaration(spec, source=where)
    return spec


def read_study(source: str | Path | StudySpec, *, full: bool = False) -> tuple[StudySpec, str]:
    """Return a study whose sections are valid each by itself, and where it is from, for messages.

    Args:
        source: See :func:`load_study`.
        full: See :func:`load_study`.

    Raises:
        InvalidInputError: There is no such study, its declaration is wrong, or it has no table ``[full]``.
    """
    if isinstance(source, StudySpec):
        if full:
            raise InvalidInputError(f"the study {source.name!r} is no file, so it has no table [full]; leave full out")
        return source, ""
    path = locate(source, "studies")
    look_beside(path.parent)
    table = read_toml(path)
    larger = table.pop("full", None)
    if full and larger is None:
        raise InvalidInputError(f"{path} has no table [full], hence no full size; leave --full out")
    spec = _study_of(table, path)
    if larger is None:
        return spec, str(path)
    full_spec = _study_of(full_table({"name": path.stem, **table}, larger, source=str(path)), path, where="full.")
    check_declaration(spec if full else full_spec, source=str(path))  # of the size that is not asked for, too
    return (full_spec if full else spec), str(path)


def _study_of(table: Mapping[str, Any], path: Path, *, where: str = "") -> StudySpec:
    values: dict[str, Any] = {"name": path.stem, **table}
    if "search_space" in table:
        values["search_space"] = _space_of(table["search_space"], path, name=str(values["name"]))
    for key, cls in {**_SECTIONS, "search": SearchSpec}.items():
        if key in values:
            values[key] = validate(cls, values[key], source=str(path), where=where + key)
    train = values.get("train")
    if isinstance(train, TrainSpec) and train.table is not None:
        values["train"] = replace(train, table=os.path.abspath(_near(os.path.expanduser(train.table), path)))
    data = values.get("data")
    if isinstance(data, DataSpec):
        root = _near(data.root, path) if "root" in table["data"] else data.root
        is_file = data.split is not None and not data.name.startswith("csv:")  # there it is a column
        split = _near(data.split, path) if is_file and data.split is not None else data.split
        values["data"] = replace(data, name=_beside(data.name, path), root=root, split=split)
    values["figures"] = _figures_of(values.get("figures", []), path)
    return validate(StudySpec, values, source=str(path))


def _beside(name: str, path: Path) -> str:
    """Return the name of data, whose path is looked for beside the study's file first; see `_near`."""
    kind, colon, place = name.partition(":")
    dataset = DATASETS.table().get(kind)
    if not place or dataset is None or (dataset.argument != "PATH" and kind != "hf"):
        return name
    return kind + colon + _near(place, path)


def _near(place: str, path: Path) -> str:
    """Return a path that the study's file names: from its folder if something is there.

    It stays as it is where that is the same from the working directory: workers on other machines may have another one.

    Raises:
        InvalidInputError: A backslash in it was taken for another character.
    """
    here = path.parent / place
    if re.search(r"[\x00-\x1f]", place) and not (os.path.exists(here) or os.path.exists(place)):
        raise InvalidInputError(
            f"{path}: the path {shown(place)} has control characters, which \\n and \\t mean in double quotes; write "
            "it in single quotes or with /"
        )
    if not os.path.exists(here) or (os.path.exists(place) and os.path.samefile(here, place)):
        return place
    return os.path.abspath(here)


def _figures_of(declared: Any, path: Path) -> list[FigureSpec]:
    if not isinstance(declared, list):
        raise InvalidInputError(f"{path}: figures must be a list of tables, [[figures]]; given {shown(declared)}")
    return [validate(FigureSpec, f, source=str(path), where=f"figures {i}") for i, f in enumerate(declared, 1)]


def _space_of(declared: Any, path: Path, *, name: str) -> SearchSpace:
    if isinstance(declared, Mapping):
        return space_of_table(declared, name=name, source=f"{path}: search_space")
    if not isinstance(declared, str):
        raise InvalidInputError(f"{path}: search_space must be a name, a path or a table; given {shown(declared)}")
    try:
        return load_space(declared, beside=path.parent)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def from_dict(stored: Mapping[str, Any]) -> StudySpec:
    """Return the study that ``to_dict`` wrote.

    Raises:
        InvalidInputError: It is none.
    """
    if missing := [k for k in ("name", "search_space", "search", *_SECTIONS) if k not in stored]:
        raise InvalidInputError(f"stored study: the key {missing[0]!r} is required but missing")
    values = with_present_names(stored)
    space = values.pop("search_space")
    sections: dict[str, Any] = {k: validate(c, values.pop(k), source="stored study") for k, c in _SECTIONS.items()}
    search = validate(SearchSpec, values.pop("search"), source="stored study")
    figures = tuple(validate(FigureSpec, f, source="stored study") for f in values.pop("figures", ()))
    refine = values.pop("refine", None)
    if refine is not None:
        finalists = tuple(validate(Finalist, f, source="stored study") for f in refine.get("finalists", ()))
        refine = validate(RefineSpec, {**refine, "finalists": finalists}, source="stored study")
    members: Any = Finalists if "points" in space else SearchSpace
    return StudySpec(**values, search_space=members(**space), search=search, figures=figures, refine=refine, **sections)
