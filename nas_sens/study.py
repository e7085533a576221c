"""StudySpec: everything that a search is declared by, and what may change when it is resumed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf
from pydantic.dataclasses import dataclass as declared

from .architectures import families
from .data import DataSpec
from .declarations import locate, read_toml, validate
from .errors import InvalidInputError
from .figure_spec import FigureSpec
from .full_size import full_table
from .identity import digest
from .probe import ScoreSpec
from .quantities import check_figures
from .recordings import recordings
from .selection import SelectSpec
from .space import SamplerName, SearchSpace, load_space, space_of_table
from .train_spec import TrainSpec

_CONFIG = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
_SECTIONS = {"data": DataSpec, "score": ScoreSpec, "select": SelectSpec, "train": TrainSpec}
# What may differ when a study is resumed: it only adds to what is there, or says where things lie.
# The contents of a table are compared by their fingerprint.
_FREE = (
    "name",
    "description",
    "figures",
    "select",
    "search.n_candidates",
    "data.root",
    "data.download",
    "train.table",
    "train.checkpoint_seconds",
)


@declared(frozen=True, kw_only=True, config=_CONFIG)
class SearchSpec:
    """How candidates are sampled.

    Args:
        sampler: ``auto``, ``random``, ``qmc``, ``tpe``, ``nsga2``, ``gp`` or ``enumerate``.
        n_candidates: Number of unique feasible candidates to score.
        seed: Seed of everything but the data split.
    """

    sampler: SamplerName = "auto"
    n_candidates: Annotated[int, Field(ge=1)] = 500
    seed: Annotated[int, Field(ge=0)] = 0


@declared(frozen=True, kw_only=True, config=_CONFIG)
class StudySpec:
    """A declared study.

    Args:
        name: Name of the study in the database.
        search_space: A SearchSpace, or the name or path of one.
        data: Which data.
        description: What it is for.
        score: How untrained candidates are scored.
        search: How candidates are sampled.
        select: Which are trained.
        train: How they are trained.
        figures: What the report draws of this study beside what it draws of every one.
    """

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\s][^/]*$")]
    search_space: Annotated[InstanceOf[SearchSpace], BeforeValidator(load_space)]
    data: DataSpec
    description: str = ""
    score: ScoreSpec = field(default_factory=ScoreSpec)
    search: SearchSpec = field(default_factory=SearchSpec)
    select: SelectSpec = field(default_factory=SelectSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    figures: Annotated[tuple[FigureSpec, ...], Field(strict=False)] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON-like values, the search space written out."""
        sections: dict[str, Any] = {k: asdict(getattr(self, k)) for k in ("data", "score", "search", "select", "train")}
        space = self.search_space.to_dict()
        head = {"name": self.name, "description": self.description, "search_space": space}
        return {**head, **sections, "figures": [asdict(figure) for figure in self.figures]}


def load_study(source: str | Path | StudySpec, *, full: bool = False) -> StudySpec:
    """Return the study of a bundled name or of a TOML file; a StudySpec is returned as it is.

    Args:
        source: For example ``"quickstart"`` or ``"my/study.toml"``.
        full: Whether to take the study at its full size: what stands in its table ``[full]`` replaces what stands
            outside it, key by key, and ``-full`` is added to its name.

    Raises:
        InvalidInputError: There is no such study, its declaration is wrong, or it has no table ``[full]``.
    """
    if isinstance(source, StudySpec):
        if full:
            raise InvalidInputError(f"the study {source.name!r} is no file, so it has no table [full]; leave full out")
        return source
    path = locate(source, "studies")
    table = read_toml(path)
    larger = table.pop("full", None)
    if full and larger is None:
        raise InvalidInputError(f"{path} has no table [full], hence no full size; leave --full out")
    spec = _study_of(table, path)
    if larger is None:
        return spec
    full_spec = _study_of(full_table({"name": path.stem, **table}, larger, source=str(path)), path, where="full.")
    return full_spec if full else spec


def _study_of(table: Mapping[str, Any], path: Path, *, where: str = "") -> StudySpec:
    values: dict[str, Any] = {"name": path.stem, **table}
    if "search_space" in table:
        values["search_space"] = _space_of(table["search_space"], path, name=str(values["name"]))
    for key, cls in {**_SECTIONS, "search": SearchSpec}.items():
        if key in values:
            values[key] = validate(cls, values[key], source=str(path), where=where + key)
    train = values.get("train")
    if isinstance(train, TrainSpec) and train.table is not None:
        here = path.parent / train.table
        values["train"] = replace(train, table=os.path.abspath(here if here.is_file() else train.table))
    values["figures"] = _figures_of(values.get("figures", []), path)
    spec = validate(StudySpec, values, source=str(path))
    try:
        check_declared_figures(spec)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    return spec


def _figures_of(declared: Any, path: Path) -> list[FigureSpec]:
    if not isinstance(declared, list):
        raise InvalidInputError(f"{path}: figures must be a list of tables, [[figures]]; given {declared!r}")
    return [validate(FigureSpec, f, source=str(path), where=f"figures {i}") for i, f in enumerate(declared, 1)]


def _space_of(declared: Any, path: Path, *, name: str) -> SearchSpace:
    if isinstance(declared, Mapping):
        return space_of_table(declared, name=name, source=f"{path}: search_space")
    if not isinstance(declared, str):
        raise InvalidInputError(f"{path}: search_space must be a name, a path or a table; given {declared!r}")
    try:
        return load_space(declared, beside=path.parent)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def from_dict(stored: Mapping[str, Any]) -> StudySpec:
    """Return the study that ``to_dict`` wrote."""
    values = dict(stored)
    space = values.pop("search_space")
    sections: dict[str, Any] = {k: validate(c, values.pop(k), source="stored study") for k, c in _SECTIONS.items()}
    search = validate(SearchSpec, values.pop("search"), source="stored study")
    figures = tuple(validate(FigureSpec, f, source="stored study") for f in values.pop("figures", ()))
    return StudySpec(**values, search_space=SearchSpace(**space), search=search, figures=figures, **sections)


def check_declared_figures(spec: StudySpec) -> None:
    """Raise an InvalidInputError unless the study has what its figures show."""
    space = spec.search_space
    check_figures(
        spec.figures,
        parameters=sorted({f.name for family in space.families for f in fields(families()[family]) if f.init}),
        training=space.training_names,
        measures=spec.train.measured,
        epochs=(None, *spec.train.record_epochs),
        records={name: recordings()[name].fields for name in spec.train.record},
    )


def check_searched_training(spec: StudySpec) -> None:
    """Raise an InvalidInputError unless ``[train]`` may have whatever the search space's ``[training]`` puts there."""
    if spec.search_space.training and spec.train.table is not None:
        raise InvalidInputError(
            f"[train] table has outcomes of architectures, but the search space {spec.search_space.name!r} searches "
            "their training, too; remove its table [training], or [train] table"
        )
    for values in spec.search_space.training_corners():
        where = f"search space {spec.search_space.name!r}"
        validate(TrainSpec, {**asdict(spec.train), **values}, source=where, where="training")


def check_resumable(stored: StudySpec, given: StudySpec, *, is_trained: bool, where: str) -> None:
    """Raise an InvalidInputError unless ``given`` only continues ``stored``.

    Args:
        stored: The study in the database.
        given: The study that was asked for.
        is_trained: Whether candidates were trained already, so that ``[train]`` may not change any more.
        where: The database, for the message.
    """
    if stored.search_space.digest != given.search_space.digest:
        raise InvalidInputError(
            f"the study {given.name!r} in {where} was made with another search space: digest "
            f"{stored.search_space.digest} stored, {given.search_space.digest} given "
            f"({_differences(stored.search_space.to_dict(), given.search_space.to_dict(), ('name', 'description'))}); "
            "restore the space, or start a new study with --name"
        )
    free = (*_FREE, "search_space", *(() if is_trained else ("train",)))
    old, new = stored.to_dict(), given.to_dict()
    if differences := _differences(old, new, free):
        digests = [digest({k: v for k, v in _flat(d).items() if not _is_free(k, free)}) for d in (old, new)]
        raise InvalidInputError(
            f"the study {given.name!r} in {where} was made with another protocol: digest {digests[0]} stored, "
            f"{digests[1]} given ({differences}); restore these values, or start a new study with --name"
        )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], free: tuple[str, ...]) -> str:
    a, b = _flat(old), _flat(new)
    keys = [k for k in sorted({*a, *b}) if a.get(k) != b.get(k) and not _is_free(k, free)]
    return "; ".join(f"{k}: {a.get(k, 'absent')!r} stored, {b.get(k, 'absent')!r} given" for k in keys)


def _is_free(key: str, free: tuple[str, ...]) -> bool:
    return any(key == f or key.startswith(f + ".") for f in free)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
