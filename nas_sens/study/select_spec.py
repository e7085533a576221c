"""SelectSpec: how many candidates are trained and which, as declared in ``[select]`` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

from ..core.figures import Direction, Objective, is_figure_name, is_of_test

FINALS = ("val_loss", "val_error", "predicted_loss", "sensitivity_after")  # in which smaller is better
Rule = Literal["calibrated", "pareto", "lowest", "highest", "params", "random"]


def _figure(name: str) -> str:
    """Return the name of a figure that may decide.

    Raises:
        ValueError: None may have this name, or it is of the test set.
    """
    if not is_figure_name(name):
        raise ValueError("must be the name of a figure: a letter, then letters, digits and _ . - @ /")
    if is_of_test(name):
        raise ValueError("must be no figure of the test set, which decides nothing; take one of the validation set")
    return name


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class SelectSpec:
    """How many candidates are trained, and which.

    Args:
        rule: ``calibrated`` learns from what is trained how features and families go with the target; ``pareto`` takes
            the fronts of small sensitivity against many parameters; ``lowest`` the smallest sensitivity in each of
            four bands of parameter numbers, and ``highest`` the largest; ``params`` the most parameters; ``random``.
        top_k: Number of candidates that the rule chooses.
        control: Number of random candidates trained beside them, so that the report can say whether the rule helped.
        rounds: Number of rounds in which a rule that learns from outcomes (``calibrated``) chooses; by default it
            chooses two at a time, or one for each worker that is idle.
        target: The figure that such a rule makes small, or large: ``val_error`` or ``val_loss``, or with a trainer of
            one's own any figure that it returns. Figures of the test set are for the report and decide nothing.
        direction: ``minimize``, or ``maximize`` where more of the target is better.
        cost: A feature that shall be small as well, such as ``log10_params`` or ``log10_flops``: ``calibrated`` then
            improves the front of target and cost instead of the target alone.
        stop_gain: Least improvement of the target, in its unit, for which it is trained on: the search stops before
            ``top_k`` when the next ten trainings are expected to gain less. None to train ``top_k`` in any case. For
            ``calibrated`` without a cost.
        final: What the trained candidates are ranked by in the end: ``val_loss``, ``val_error``, ``predicted_loss``
            (eq. 9 of forouzesh2020) or ``sensitivity_after``, of which the last two need no labels; or the target. By
            default the target of a trainer of one's own, else ``val_loss``.
    """

    rule: Rule = "calibrated"
    top_k: Annotated[int, Field(ge=1)] = 8
    control: Annotated[int, Field(ge=0)] = 4
    rounds: Annotated[int, Field(ge=1)] | None = None
    target: Annotated[str, AfterValidator(_figure)] = "val_error"
    direction: Direction = "minimize"
    cost: str | None = None
    stop_gain: Annotated[float, Field(gt=0)] | None = None
    final: Annotated[str, AfterValidator(_figure)] | None = None

    @model_validator(mode="after")
    def _check_cost(self) -> SelectSpec:
        if self.cost is not None and self.rule != "calibrated":
            raise ValueError(f'needs rule "calibrated" for a cost; given {self.rule!r}; leave the cost out')
        return self

    @model_validator(mode="after")
    def _check_stop(self) -> SelectSpec:
        if self.stop_gain is not None and (self.rule != "calibrated" or self.cost is not None):
            given = f"rule {self.rule!r}" if self.cost is None else f"cost {self.cost!r}"
            raise ValueError(f'needs rule "calibrated" without a cost for stop_gain; given {given}; leave one out')
        return self

    @property
    def objective(self) -> Objective:
        """What a rule that learns makes better."""
        return Objective(self.target, self.direction == "maximize")


def objective_of(protocol: Mapping[str, Any]) -> Objective:
    """Return what a study's rule makes better, for its protocol's ``select.target``; ``val_error`` without one."""
    select = _select(protocol)
    return Objective(str(select.get("target") or "val_error"), select.get("direction") == "maximize")


def ranking_figure(protocol: Mapping[str, Any]) -> Objective:
    """Return the figure of a trained candidate that a study ranks by, for its protocol's ``select.final``."""
    objective, final = objective_of(protocol), _select(protocol).get("final")  # older studies lack it
    train = protocol.get("train")
    if final is None and isinstance(train, Mapping) and train.get("trainer"):
        final = objective.name
    if final == objective.name:
        return objective
    return Objective({None: "val_loss", "sensitivity_after": "log10_sensitivity_after"}.get(final, str(final)))


def _select(protocol: Mapping[str, Any]) -> Mapping[str, Any]:
    select = protocol.get("select")
    return select if isinstance(select, Mapping) else {}
