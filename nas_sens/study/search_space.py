"""SearchSpace: declared parameters of one or several architecture families, and constraints on what they build."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler

from ..architectures import FAMILIES, ArchitectureSpec, families
from ..core.candidates import part_of_list
from ..core.declarations import locate, nearest, validate
from ..core.errors import InvalidInputError
from ..core.identity import digest
from ..core.messages import shown
from ..core.toml_reader import read_toml
from ..core.user_code import is_name, look_beside
from .constraints import bounds_of, check_constraints
from .distributions import FAMILY, TRAINING, extremes, iterate_values, n_values, to_declared
from .lists import declared_form, named_distributions, value_in
from .parsed_space import numeric_names, parse_families, parse_training
from .together import expanded, names_of


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A declared space of architectures; equal declarations have equal digests.

    Args:
        name: Its name.
        families: Family, by its name or as a function of the user (:func:`nas_sens.family`), to parameters; a parameter
            is a fixed value, a list of choices, a table in Optuna's short form, an Optuna distribution, or a list of
            these as the value (:mod:`nas_sens.study.lists`). ``together`` is a list of tables of parameters that only
            go together, such as channels and hidden units, one of which is chosen. Several families form a union, in
            which parameters are prefixed by their family, as ``fc.depth``, and the parameter ``family`` chooses.
        constraints: ``params``, ``flops``, ``latency_ms``, ``memory_mb``, any declared numeric parameter or place of a
            list (``width_0``) to ``{"min": …, "max": …}``, inclusive. Latency also has the keys of
            :class:`~nas_sens.study.constraints.LatencySpec`; memory, the most that lies in it at once in a forward
            pass, has ``batch``.
        training: Keys of ``[train]`` that are searched with the architecture, such as ``learning_rate``, to parameters
            as above; in a trial they are called ``training.learning_rate``. ``together`` is as that of families: keys
            that only go together, such as an optimizer and its batch size.
        description: What it is for.
        source: Where it was declared, for error messages.

    Raises:
        InvalidInputError: A family, key or value is wrong.
    """

    name: str
    families: Mapping[str, Mapping[str, Any]]
    constraints: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    source: str = field(default="search space", compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in ("name", "description"):
            if not isinstance(getattr(self, key), str):
                raise InvalidInputError(f"{self.source}: {key} must be a string; given {shown(getattr(self, key))}")
        try:
            parsed = parse_families(self.families)
            training = parse_training(self.training)
            check_constraints(self.constraints, numeric_names(parsed))
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.source}: {error}") from error
        object.__setattr__(self, "families", parsed)
        object.__setattr__(self, "training", training)
        object.__setattr__(self, "constraints", {k: dict(v) for k, v in self.constraints.items()})

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and other.digest == self.digest

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON-like values."""
        parameters = {f: {k: declared_form(v) for k, v in sorted(p.items())} for f, p in sorted(self.families.items())}
        return {
            "name": self.name,
            "description": self.description,
            "families": parameters,
            "constraints": {k: dict(v) for k, v in sorted(self.constraints.items())},
            **({"training": {k: to_declared(v) for k, v in self.training.items()}} if self.training else {}),
        }

    @cached_property
    def digest(self) -> str:
        """Identity of what the space contains: families, constraints and training, not name or description."""
        return digest({k: v for k, v in self.to_dict().items() if k not in ("name", "description")})

    def distributions(self, family: str) -> dict[str, BaseDistribution]:
        """Return the distributions of one family's parameters by their names in a trial."""
        return named_distributions(self.families[family], self._prefix(family))

    def _prefix(self, family: str) -> str:
        return f"{family}." if len(self.families) > 1 else ""

    @property
    def training_distributions(self) -> dict[str, BaseDistribution]:
        """The distributions of what is searched with the architecture, by their names in a trial."""
        return {TRAINING + k: v for k, v in self.training.items() if isinstance(v, BaseDistribution)}

    @cached_property
    def family_distribution(self) -> CategoricalDistribution | None:
        """Distribution of the parameter ``family``; None if there is only one family."""
        return CategoricalDistribution(sorted(self.families)) if len(self.families) > 1 else None

    def trial_distributions(self, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Return the distributions of the parameters that a trial with ``params`` has."""
        chosen = self.family_of(params)
        family = {FAMILY: self.family_distribution} if self.family_distribution is not None else {}
        return {**family, **self.distributions(chosen), **self.training_distributions}

    def family_of(self, params: Mapping[str, Any]) -> str:
        """Return the family that a trial's parameters choose."""
        return params[FAMILY] if self.family_distribution is not None else next(iter(self.families))

    def architecture(self, params: Mapping[str, Any]) -> ArchitectureSpec:
        """Return the architecture that a trial's parameters mean; fixed values are filled in."""
        family = self.family_of(params)
        prefix = self._prefix(family)
        return self.spec_of(family, {k: value_in(params, k, v, prefix) for k, v in self.families[family].items()})

    def spec_of(self, family: str, values: Mapping[str, Any]) -> ArchitectureSpec:
        """Return the architecture of a family with the values of its parameters."""
        return validate(FAMILIES.get(family), expanded(values), source=self.source, where=family)

    def training_of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of ``[train]`` that a trial's parameters mean; fixed values are filled in."""
        return expanded(
            {k: params[TRAINING + k] if isinstance(v, BaseDistribution) else v for k, v in self.training.items()}
        )

    @property
    def training_names(self) -> list[str]:
        """Names of the keys of ``[train]`` that are searched with the architecture."""
        return names_of(self.training)

    def training_corners(self) -> Iterator[dict[str, Any]]:
        """Yield all combinations of choices and bounds of what is searched with the architecture; at most 10,000."""
        sides = [extremes(v) for v in self.training.values()]
        for values in itertools.islice(itertools.product(*sides), 10_000):
            yield expanded(dict(zip(self.training, values, strict=True)))

    def violation(self, values: Mapping[str, Any]) -> str | None:
        """Return which constraint ``values`` break, in words; None if they break none.

        Args:
            values: Parameters of the architecture, and ``params`` and ``flops`` as far as they are known already.
        """
        for key, bounds in self.constraints.items():
            value = part_of_list(values, key)
            if value is None:
                continue
            if value < (low := bounds_of(bounds).low):
                return f"{key} = {value} is below the minimum of {low}"
            if value > (high := bounds_of(bounds).high):
                return f"{key} = {value} is above the maximum of {high}"
        return None

    @cached_property
    def cardinality(self) -> int | None:
        """Number of parameter combinations; None if infinite. Constraints are not taken into account."""
        total = 0
        for family in self.families:
            sizes = [n_values(d) for d in {**self.distributions(family), **self.training_distributions}.values()]
            if None in sizes:
                return None
            total += math.prod(s for s in sizes if s is not None)
        return total

    def enumerate(self) -> Iterator[dict[str, Any]]:
        """Yield the trial parameters of every combination of a finite space, family by family."""
        for family in sorted(self.families):
            distributions = {**dict(sorted(self.distributions(family).items())), **self.training_distributions}
            chosen = {FAMILY: family} if self.family_distribution is not None else {}
            for values in itertools.product(*(list(iterate_values(d)) for d in distributions.values())):
                yield {**chosen, **dict(zip(distributions, values, strict=True))}

    @cached_property
    def all_distributions(self) -> dict[str, BaseDistribution]:
        """The distributions of all families together, of which a trial has some.

        Samplers see one fixed set of dimensions: quasi-random sequences and Gaussian processes need that, and the
        others gain nothing from less.
        """
        family = {FAMILY: self.family_distribution} if self.family_distribution is not None else {}
        members = {k: v for f in sorted(self.families) for k, v in self.distributions(f).items()}
        return {**family, **members, **self.training_distributions}

    def draw(self, sampler: RandomSampler) -> dict[str, Any]:
        """Return the parameters that a trial of the random sampler would have, ten times faster than by a trial."""
        nobody: Any = None  # the random sampler looks at neither study nor trial
        drawn = {k: sampler.sample_independent(nobody, nobody, k, d) for k, d in self.all_distributions.items()}
        return {k: drawn[k] for k in self.trial_distributions(drawn)}

    def sample(self, *, seed: int = 0) -> ArchitectureSpec:
        """Return one random architecture that meets the constraints on declared parameters.

        Constraints on ``params`` and ``flops`` are not checked: they depend on the data.

        Raises:
            InvalidInputError: 10,000 random architectures broke the constraints.
        """
        sampler = RandomSampler(seed=seed)
        for _ in range(10_000):
            architecture = self.architecture(self.draw(sampler))
            if self.violation(architecture.to_dict()) is None:
                return architecture
        raise InvalidInputError(f"{self.source}: no architecture meets the constraints; widen them")


def load_space(source: str | Path | SearchSpace, *, beside: Path | None = None) -> SearchSpace:
    """Return the search space of a bundled name or of a TOML file; a SearchSpace is returned as it is.

    Args:
        source: For example ``"fc"`` or ``"my/space.toml"``.
        beside: Folder that a relative path may also start from.

    Raises:
        InvalidInputError: There is no such space, or its declaration is wrong.
    """
    if isinstance(source, SearchSpace):
        return source
    path = locate(source, "search_spaces", beside=beside)
    look_beside(path.parent)
    return space_of_table(read_toml(path), name=path.stem, source=str(path))


def space_of_table(table: Mapping[str, Any], *, name: str, source: str) -> SearchSpace:
    """Return the search space that the contents of a TOML file, or of a table in one, declare.

    Args:
        table: One table per family; ``name``, ``description``, ``constraints``, ``training``.
        name: Its name if it has none.
        source: What is being read, for error messages.

    Raises:
        InvalidInputError: The declaration is wrong.
    """
    known = families()
    tables = {k: v for k, v in table.items() if k in known or is_name(k)}
    allowed = ["name", "description", "constraints", "training", *known]
    for key in table:
        if key not in allowed and key not in tables:
            raise InvalidInputError(
                f"{source}: unknown key {key!r}; {nearest(key, allowed)}; a function of your own is a family as "
                '["module:function"]'
            )
    return SearchSpace(
        name=table.get("name", name),
        description=table.get("description", ""),
        families=tables,
        constraints=table.get("constraints", {}),
        training=table.get("training", {}),
        source=source,
    )
