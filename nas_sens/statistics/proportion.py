"""How well a share of few inputs is known.

Symbol, meaning:

    p   observed share
    n   number of inputs that it is of
    s   its standard error: √(q (1 - q) / n) with q = (n p + 2) / (n + 4), the share towards ½ as Agresti and Coull have
        it (The American Statistician 52, 1998), by which s is not 0 where no input, or every one, was wrong
"""

from __future__ import annotations

import math


def standard_error_of_share(share: float, n: int) -> float:
    """Return the standard error of a share of ``n`` inputs that were drawn independently.

    Shares of each input that are means, of several seeds or labels, scatter less: for these it is an upper bound.

    Args:
        share: The observed share, from 0 to 1.
        n: Number of inputs, 1 or more.
    """
    q = (n * share + 2) / (n + 4)
    return math.sqrt(q * (1 - q) / n)
