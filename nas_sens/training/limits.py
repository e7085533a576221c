"""How a training is cut up: sizes that change its speed and memory, and no result but for rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes of the work.

    Attributes:
        evaluation_batch: Inputs of a pass in evaluation mode, at most.
        evaluation_numbers: Numbers of the inputs of such a pass on the CPU. Feature maps beyond 32 MB are given back to
            the system after every layer, and 10,000 images of CIFAR-10 take a ResNet-20 2.4 times as long in passes of
            2,048 as in passes of 128.
        accelerator_numbers: The same elsewhere.
        channels_last_numbers: Numbers of an input from which on channels last are faster on the CPU: 4 % for plain
            CNNs, 1.7 times for residual ones.
        gathered_numbers: Numbers of a training set that is put in order at once, 64 MB; larger ones batch by batch.
        folded_batches: Batches whose outputs are kept until their errors are counted together.
    """

    evaluation_batch: int = 2048
    evaluation_numbers: int = 2**18
    accelerator_numbers: int = 2**24
    channels_last_numbers: int = 400
    gathered_numbers: int = 2**24
    folded_batches: int = 64

    def evaluated_at_once(self, x: Any) -> int:
        """Return how many of the inputs ``x`` (n, *shape), a tensor or pictures, a pass in evaluation mode takes."""
        numbers = self.evaluation_numbers if x.device.type == "cpu" else self.accelerator_numbers
        return max(1, min(self.evaluation_batch, numbers // math.prod(x.shape[1:])))


LIMITS = Limits()
