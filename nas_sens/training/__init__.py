"""Training: one network from one seed, in epochs that can be stopped and gone on with."""

from ..train_spec import TrainSpec
from .outcome import Outcome, mean_and_sd
from .trainer import train

__all__ = ["Outcome", "TrainSpec", "mean_and_sd", "train"]
