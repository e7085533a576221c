"""Which trained candidates a model is fitted on where all are too many: time grows with the cube of their number.

The part is random and looks at no outcome. The best ones alone, or in a larger share than they have, would be there
because noise was kind to them, and a model fitted on them would expect too much of all their neighbours. The place of a
candidate depends on its digest alone, so that the part of one round is mostly that of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.identity import derive_seed
from .candidates import Candidate

MOST = 256  # a fit takes a second or two


def learnt_part(trained: Sequence[Candidate]) -> NDArray[np.int64]:
    """Return the places of the candidates to learn from, in order: all, or a random ``MOST`` of them.

    Args:
        trained: The trained candidates.
    """
    if len(trained) <= MOST:
        return np.arange(len(trained))
    order = sorted(range(len(trained)), key=lambda i: derive_seed("learnt from", trained[i].digest))
    return np.sort(np.array(order[:MOST], dtype=np.int64))
