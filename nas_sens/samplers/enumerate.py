"""Every combination of a finite space, in random order."""

from __future__ import annotations

from ..study.sampler import Sampler

SAMPLER = Sampler(name="enumerate", make=None, is_independent=True, description=__doc__)
