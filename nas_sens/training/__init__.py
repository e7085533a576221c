"""Training: one network from one seed, in epochs that can be stopped and gone on with."""

from .outcome import Outcome, mean_and_sd
from .trainer import train

__all__ = ["Outcome", "mean_and_sd", "train"]
