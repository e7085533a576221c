"""Whether candidates meet bounds on latency and memory, told before they are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from ..architectures import ArchitectureSpec
from ..core.candidates import ScoredCandidate
from ..core.inputs import example_of, shape_from
from ..study.constraints import LATENCY, MEMORY, LatencySpec, bounds_of, latency_of, memory_batch_of
from ..study.search_space import SearchSpace
from .footprint import Footprint, footprint
from .latency import Latency
from .latency_model import Array, LatencyModel, terms_of


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What is known of latency and memory in a study.

    Attributes:
        space: Whose bounds are to be met.
        input_shape: Shape of one input.
        n_outputs: Number of outputs.
        model: Predicts latency; None where it is not asked for.
        known: Digest of an architecture to its latency, where that was measured or is in a table.
    """

    space: SearchSpace
    input_shape: Any
    n_outputs: int
    model: LatencyModel | None = None
    known: Mapping[str, Latency] = field(default_factory=dict)

    @property
    def latency(self) -> LatencySpec | None:
        """How latency is had."""
        return latency_of(self.space.constraints)

    def __call__(self, architecture: ArchitectureSpec, record: ScoredCandidate) -> ScoredCandidate:
        """Return a counted candidate with its latency in milliseconds and memory in MB among the measures.

        It is infeasible where a bound is not met. A latency that is predicted must miss it by more than the model's
        error: what may be fast enough is measured before it is trained.
        """
        assert record.flops is not None
        spec, batch = self.latency, memory_batch_of(self.space.constraints)
        found: dict[str, float] = {}
        error = 0.0
        taken = cache(partial(self._footprint, architecture))
        if batch is not None:
            found[MEMORY] = taken(batch).peak_bytes / 1e6
        if spec is not None:
            if (known := self.known.get(architecture.digest)) is not None:
                found[LATENCY] = known.ms
            elif self.model is not None:
                found[LATENCY] = self.model.predict(terms_of(record.flops * spec.batch, taken(spec.batch)))
                error = self.model.error
        record = replace(record, measures={**record.measures, **found})
        for name, value in found.items():
            if problem := self.violation(name, value, error=error if name == LATENCY else 0.0):
                return replace(record, feasible=False, status=f"infeasible: {problem}")
        return record

    def violation(self, name: str, value: float, *, error: float = 0.0) -> str | None:
        """Return which bound a value does not meet, in words; None if it does.

        Args:
            name: Of the constraint.
            value: Latency or memory.
            error: Share of it by which it may be another.
        """
        bounds = bounds_of(self.space.constraints[name])
        if value * (1 + error) < bounds.low:
            return f"{name} = {value:.4g} is below the minimum of {bounds.low}"
        if value * (1 - error) > bounds.high:
            return f"{name} = {value:.4g} is above the maximum of {bounds.high}"
        return None

    def terms(self, architecture: ArchitectureSpec, flops: int, batch: int) -> Array:
        """Return what the latency of an architecture is made of, see :func:`terms_of`."""
        return terms_of(flops * batch, self._footprint(architecture, batch))

    def _footprint(self, architecture: ArchitectureSpec, batch: int) -> Footprint:
        """Return what a network takes on a minibatch, its weights as they come."""
        model = architecture.blank(self.input_shape, self.n_outputs, device="cpu")
        return footprint(model, example_of(shape_from(self.input_shape), batch))
