"""Selection: which scored candidates are trained next, by rules and by a model of what is trained."""

from .candidates import Candidate, Pick
from .rules import LEARNING_RULES, RULES, control_group, round_sizes, select

__all__ = [
    "LEARNING_RULES",
    "RULES",
    "Candidate",
    "Pick",
    "control_group",
    "round_sizes",
    "select",
]
