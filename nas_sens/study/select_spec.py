"""SelectSpec: how many candidates are trained and which, as declared in ``[select]`` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as declared

Rule = Literal["calibrated", "pareto", "lowest", "highest", "params", "random"]


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class SelectSpec:
    """How many candidates are trained, and which.

    Args:
        rule: ``calibrated`` learns from what is trained how features and families go with the target; ``pareto`` takes
            the fronts of small sensitivity against many parameters; ``lowest`` the smallest sensitivity in each of
            four bands of parameter numbers, and ``highest`` the largest; ``params`` the most parameters; ``random``.
        top_k: Number of candidates that the rule chooses.
        control: Number of random candidates trained beside them, so that the report can say whether the rule helped.
        rounds: Number of rounds in which a rule that learns from outcomes (``calibrated``) chooses.
        target: What such a rule makes small.
        cost: A feature that shall be small as well, such as ``log10_params`` or ``log10_flops``: ``calibrated`` then
            improves the front of target and cost instead of the target alone.
        final: What the trained candidates are ranked by in the end. ``predicted_loss`` (eq. 9 of forouzesh2020) and
            ``sensitivity_after`` need no labels.
    """

    rule: Rule = "calibrated"
    top_k: Annotated[int, Field(ge=1)] = 8
    control: Annotated[int, Field(ge=0)] = 4
    rounds: Annotated[int, Field(ge=1)] = 3
    target: Literal["val_error", "val_loss"] = "val_error"
    cost: str | None = None
    final: Literal["val_loss", "val_error", "predicted_loss", "sensitivity_after"] = "val_loss"

    @model_validator(mode="after")
    def _check_cost(self) -> SelectSpec:
        if self.cost is not None and self.rule != "calibrated":
            raise ValueError(f'needs rule "calibrated" for a cost; given {self.rule!r}; leave the cost out')
        return self


def ranking_figure(protocol: Mapping[str, Any]) -> str:
    """Return the figure of a trained candidate that a study ranks by, for its protocol's ``select.final``."""
    select = protocol.get("select")
    final = select.get("final") if isinstance(select, Mapping) else None  # older studies lack it
    return {None: "val_loss", "sensitivity_after": "log10_sensitivity_after"}.get(final, str(final))
