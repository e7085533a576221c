"""How a training is cut up: sizes that change its speed and memory, and no result but for rounding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes of the work.

    Attributes:
        evaluation_batch: Inputs of a pass in evaluation mode.
        channels_last_numbers: Numbers of an input from which on channels last are faster on the CPU: 4 % for plain
            CNNs, 1.7 times for residual ones.
        gathered_numbers: Numbers of a training set that is put in order at once, 64 MB; larger ones batch by batch.
        folded_batches: Batches whose outputs are kept until their errors are counted together.
    """

    evaluation_batch: int = 2048
    channels_last_numbers: int = 400
    gathered_numbers: int = 2**24
    folded_batches: int = 64


LIMITS = Limits()
