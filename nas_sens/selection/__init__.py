"""Selection: which scored candidates are trained next, by rules and by a model of what is trained."""

from .candidates import Candidate, Pick
from .rules import LEARNING_RULES, RULES, SelectSpec, control_group, ranking_figure, round_sizes, select

__all__ = [
    "LEARNING_RULES",
    "RULES",
    "Candidate",
    "Pick",
    "SelectSpec",
    "control_group",
    "ranking_figure",
    "round_sizes",
    "select",
]
