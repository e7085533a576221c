"""Whether a declaration is consistent in itself, as far as that can be told without data or database."""

from __future__ import annotations

from dataclasses import fields

from ..architectures import FAMILIES
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.figures import KNOWN
from ..core.identity import digest
from ..core.messages import shown
from ..recordings import recordings
from .constraints import LATENCY, MEMORY
from .lists import part_names
from .own_trainer import TOLD, check_trainer, check_with_trainer
from .quantity_names import check_figures
from .sampler import AUTO, SAMPLERS
from .select_spec import FINALS
from .study_spec import StudySpec
from .together import TOGETHER

_TARGETS = ("val_error", "val_loss")
_RACING_RULES = ("lowest", "highest", "pareto")  # which S decides


def check_declaration(spec: StudySpec, *, source: str = "") -> None:
    """Check that the sections of a study go together.

    Args:
        spec: A study whose sections are valid each by itself.
        source: The file that it is from, for messages; "" if it is from none.

    Raises:
        InvalidInputError: A figure shows what the study does not have, ``[train]`` may not have what the space
            searches, outcomes that are looked up lack what the study ranks by, or racing does not go with sampler and
            rule.
    """
    try:
        _check(spec)
    except InvalidInputError as error:
        if not source:
            raise
        raise InvalidInputError(f"{source}: {error}") from error


def _check(spec: StudySpec) -> None:
    _check_searched_training(spec)
    _check_figures(spec)
    _check_racing(spec)
    _check_cost(spec)
    _check_growth(spec)
    _check_storable(spec)
    _check_figures_of_training(spec)
    if spec.train.table is not None and spec.final not in ("val_loss", "val_error"):
        raise InvalidInputError(
            f"[select] final = {spec.final!r} needs trained networks, but [train] table only has their figures; "
            "take val_error or val_loss"
        )


def _check_cost(spec: StudySpec) -> None:
    """Check that a cost that the space has to say how to measure is one.

    Raises:
        InvalidInputError: It is not.
    """
    cost, constraints = spec.select.cost, spec.search_space.constraints
    if cost in (LATENCY, MEMORY) and cost not in constraints:
        how = f"{cost} = {{ max = … }}" if cost == MEMORY else f'{cost} = {{ device = "cpu" }}'
        raise InvalidInputError(
            f"[select] cost = {cost!r} needs a line for it in [constraints] of the search space; add {how}"
        )


def _check_figures_of_training(spec: StudySpec) -> None:
    """Check that a training has the figures that decide.

    Raises:
        InvalidInputError: It does not, or its trainer is none.
    """
    select, trainer = spec.select, spec.train.trainer
    if trainer is not None:
        if trainer != TOLD:
            check_trainer(trainer)
        check_with_trainer(spec.train)
    if spec.final != select.target:
        valid = (*FINALS, select.target) if trainer is None else ("val_loss", "val_error", "sensitivity_after")
        if spec.final not in valid:
            raise InvalidInputError(
                f"[select] final must be the target ({select.target}), or one of {', '.join(dict.fromkeys(valid))}; "
                f"given {shown(spec.final)}; {nearest(spec.final, (*valid, select.target))}"
            )
    if trainer is None and select.target not in _TARGETS:
        raise InvalidInputError(
            f"[select] target must be {' or '.join(_TARGETS)}, figures of the tool's own training; given "
            f"{shown(select.target)}; {nearest(select.target, _TARGETS)}; a trainer of your own ([train] trainer = "
            '"module:function") may return any other'
        )
    if select.direction == "maximize" and select.target in KNOWN:
        raise InvalidInputError(
            f'[select] direction = "maximize" does not go with target {select.target!r}, of which less is better; '
            "remove it, or name another target"
        )


def _check_searched_training(spec: StudySpec) -> None:
    """Check that ``[train]`` may have whatever the search space's ``[training]`` puts there.

    Raises:
        InvalidInputError: It may not.
    """
    if spec.search_space.training and spec.train.table is not None:
        raise InvalidInputError(
            f"[train] table has outcomes of architectures, but the search space {spec.search_space.name!r} searches "
            "their training, too; remove its table [training], or [train] table"
        )
    _ = spec.trainings  # are valid, or raise


def _check_figures(spec: StudySpec) -> None:
    space = spec.search_space
    check_figures(
        spec.figures,
        parameters=sorted(
            {f.name for family in space.families for f in fields(FAMILIES.get(family)) if f.init}
            | {n for parameters in space.families.values() for k, v in parameters.items() for n in part_names(k, v)}
            - {TOGETHER}
        ),
        training=space.training_names,
        measures=spec.train.measured,
        epochs=(None, *spec.train.recording_epochs),
        records={name: recordings()[name].fields for name in spec.train.recordings},
        has_own=spec.train.trainer is not None,
    )


def _check_storable(spec: StudySpec) -> None:
    """Check that a database can keep the declaration, which is JSON there.

    Raises:
        InvalidInputError: It cannot.
    """
    for section, values in spec.to_dict().items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            try:
                digest(value)
            except (TypeError, ValueError, RecursionError) as error:
                where = f"{section}.{key}" if key else section
                raise InvalidInputError(
                    f"{where} must be text, finite numbers and truth values, in lists and tables; given {shown(value)}"
                ) from error


def _check_growth(spec: StudySpec) -> None:
    """Check that there are rounds between which candidates can be proposed.

    Raises:
        InvalidInputError: There are none.
    """
    if spec.search.grow and spec.select.rule != "calibrated":
        raise InvalidInputError(
            f"[search] grow = {spec.search.grow} needs rule 'calibrated', which chooses in rounds; given "
            f"{spec.select.rule!r}; leave grow out"
        )


def _check_racing(spec: StudySpec) -> None:
    """Check that racing goes with the sampler and the rule.

    Raises:
        InvalidInputError: It does not.
    """
    sampler, rule = spec.search.sampler, spec.select.rule
    is_independent = sampler == AUTO or SAMPLERS.get(sampler).is_independent
    if spec.score.racing and not (is_independent and rule in _RACING_RULES):
        samplers = ", ".join(n for n, s in SAMPLERS.table().items() if s.is_independent)
        raise InvalidInputError(
            f"racing = true in [score] needs a sampler that does not learn from scores ({samplers}) and a rule that S "
            f"decides ({', '.join(_RACING_RULES)}); given sampler {sampler!r} and rule {rule!r}; set racing to false, "
            "or precision instead"
        )
