"""What several candidates of a batch have in common, computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Memo:
    """Arrays by the array that they come from and what was done to it; the least recently used ones go first.

    Behind a first layer without channels of its own in the moments all candidates with the same kernel agree, whatever
    their width, and candidates that differ in their last layers agree up to there.

    Args:
        max_bytes: Memory that results may take.
    """

    def __init__(self, max_bytes: int = 2**27) -> None:
        self._entries: OrderedDict[tuple[Hashable, ...], tuple[Array, Array]] = OrderedDict()
        self._left = max_bytes

    def get(self, source: Array, what: tuple[Hashable, ...], compute: Callable[[], Array]) -> Array:
        """Return ``compute()``, a function of ``source`` and ``what`` alone; nobody may alter either array."""
        key = (id(source), *what)  # the entry keeps the source, so that no other array gets its id
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][1]
        result = compute()
        self._entries[key] = (source, result)
        self._left -= result.nbytes
        while self._left < 0:
            _, (_, oldest) = self._entries.popitem(last=False)
            self._left += oldest.nbytes
        return result
