"""StudySpec: everything that a search is declared by."""

from __future__ import annotations

from dataclasses import asdict, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, InstanceOf
from pydantic.dataclasses import dataclass as declared

from ..core.declarations import validate
from ..core.text import printable
from ..data import DataSpec
from .figure_spec import FigureSpec
from .refine_spec import RefineSpec
from .sampler import SamplerName
from .score_spec import ScoreSpec
from .search_space import SearchSpace, load_space
from .select_spec import SelectSpec
from .train_spec import TrainSpec

_CONFIG = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


def _harmless(name: str) -> str:
    """Return a name that can be shown as it is.

    Raises:
        ValueError: It has control characters, or such as turn the direction of a text.
    """
    if printable(name) != name:
        raise ValueError("must be without control characters")
    return name


@declared(frozen=True, kw_only=True, config=_CONFIG)
class SearchSpec:
    """How candidates are sampled.

    Args:
        sampler: ``auto``, ``random``, ``qmc``, ``tpe``, ``nsga2``, ``gp`` or ``enumerate``.
        n_candidates: Number of unique feasible candidates to score.
        seed: Seed of everything but the data split, below 2³².
        grow: Number of candidates that are proposed and scored before each round of trainings from the second on, three
            of four near the best ones so far and one at random; 0 for none. Of the selection rules ``calibrated`` alone
            knows rounds; with it they are 64 by default, none in a study that was begun without.
    """

    sampler: SamplerName = "auto"
    n_candidates: Annotated[int, Field(ge=1)] = 500
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0  # what NumPy's generators take
    grow: Annotated[int, Field(ge=0)] | None = None


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
        refine: What it trains on, where it is a refinement of another study; ``nas-sens refine`` writes it.
    """

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$"), AfterValidator(_harmless)]
    search_space: Annotated[InstanceOf[SearchSpace], BeforeValidator(load_space)]
    data: DataSpec
    description: str = ""
    score: ScoreSpec = field(default_factory=ScoreSpec)
    search: SearchSpec = field(default_factory=SearchSpec)
    select: SelectSpec = field(default_factory=SelectSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    figures: Annotated[tuple[FigureSpec, ...], Field(strict=False)] = ()
    refine: RefineSpec | None = None

    @property
    def final(self) -> str:
        """What trained candidates are ranked by in the end: ``[select] final``, or what it is by default."""
        by_default = "val_loss" if self.train.trainer is None else self.select.target
        return self.select.final or by_default

    @cached_property
    def trainings(self) -> tuple[TrainSpec, ...]:
        """``[train]`` with all combinations of choices and bounds that the space searches with the architecture.

        Only ``[train]`` itself where nothing is searched.

        Raises:
            InvalidInputError: ``[train]`` may not have one of them.
        """
        source = f"search space {self.search_space.name!r}"
        declared = asdict(self.train)
        corners = self.search_space.training_corners()
        return tuple(validate(TrainSpec, {**declared, **c}, source=source, where="training") for c in corners)

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON-like values, the search space written out."""
        sections: dict[str, Any] = {k: asdict(getattr(self, k)) for k in ("data", "score", "search", "select", "train")}
        space = self.search_space.to_dict()
        head = {"name": self.name, "description": self.description, "search_space": space}
        refine = {} if self.refine is None else {"refine": asdict(self.refine)}
        return {**head, **sections, "figures": [asdict(figure) for figure in self.figures], **refine}
