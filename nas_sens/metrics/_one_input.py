"""Any network as one of a single floating-point input, for measures that know only such: Jacobians, regions, paths.

Several input tensors of floating-point numbers are laid side by side, (n, D). Where noise enters behind a module, what
that module gives for the inputs is the input (n, D), and the rest of the network the function. Tensors that take no
noise are the context: whole numbers and masks, or all inputs of a network with noise behind a module. Most networks see
of tokens nothing but what the embedding gives, and then any context goes with any input; of others, the context of a
row is known only where a measure puts in all inputs, in their order.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.inputs import called_with, floats_as, mapped, n_rows, parts_of, rows_of
from ..core.module_mode import evaluation_mode
from ..core.outputs import Output, picked
from ._noise_at import altered_behind, enters_inside


class OneInput(nn.Module):
    """A network as a function of one tensor (n, D), whose other inputs are given.

    Args:
        network: Any network.
        x: Its inputs.
        noise_at: Where noise enters (see :func:`nas_sens.metrics.output_sensitivity.output_sensitivity`).
        output: Which output is looked at.

    Attributes:
        given: The network's own inputs.
        start: The input (n, D) that these amount to.
    """

    def __init__(self, network: nn.Module, x: Any, *, noise_at: str | None, output: Output | None) -> None:
        super().__init__()
        self.network, self._noise_at, self.given = network, noise_at, x
        self._is_inside = enters_inside(x, noise_at)
        found = self._activations() if self._is_inside else [t for t in parts_of(x) if t.is_floating_point()]
        self._shapes = [tuple(t.shape[1:]) for t in found]
        self.start = torch.cat([t.detach().flatten(1) for t in found], dim=1)
        self._goes_with_any = self._has_no_context() or self._is_context_unseen(output)

    def forward(self, x: torch.Tensor) -> Any:
        """Return what the network gives for inputs (n, D).

        Raises:
            InvalidInputError: Nothing is known of what else goes in with these rows.
        """
        n = len(x)
        context = floats_as(self._context(x), x.dtype)
        sizes = [math.prod(shape) for shape in self._shapes]
        parts = [part.reshape(n, *shape) for part, shape in zip(x.split(sizes, dim=1), self._shapes, strict=True)]
        given = iter(parts)
        if not self._is_inside:
            return called_with(self.network, mapped(lambda t: next(given) if t.is_floating_point() else t, context))
        with altered_behind(self.network, self._noise_at, n, lambda rows: next(given).reshape(rows.shape)):
            return called_with(self.network, context)

    def _context(self, x: torch.Tensor) -> Any:
        """Return what goes in with some rows.

        Raises:
            InvalidInputError: Nothing is known of it.
        """
        n = len(x)
        if n == len(self.start) or (n < len(self.start) and _is_same(x, self.start[:n])):
            return rows_of(self.given, slice(0, n))
        if self._goes_with_any:
            return mapped(lambda t: t[:1].expand(n, *t.shape[1:]), self.given)
        raise InvalidInputError(
            "not defined here: the network sees more of its inputs than the numbers that noise enters (masks, lengths "
            "or other whole numbers), and this measure puts in others than the given inputs in their order"
        )

    @torch.no_grad()
    def _activations(self) -> list[torch.Tensor]:
        """Return what the module behind which noise enters gives, at each of its calls."""
        found: list[torch.Tensor] = []

        def note(rows: torch.Tensor) -> torch.Tensor:
            found.append(rows)
            return rows

        with evaluation_mode(self.network), altered_behind(self.network, self._noise_at, n_rows(self.given), note):
            called_with(self.network, self.given)
        return found

    def _has_no_context(self) -> bool:
        return not self._is_inside and all(part.is_floating_point() for part in parts_of(self.given))

    @torch.no_grad()
    def _is_context_unseen(self, output: Output | None) -> bool:
        """Return whether the outputs are the same with the context of other rows."""
        self._goes_with_any = True
        n, kept = len(self.start), self.given
        try:
            with evaluation_mode(self.network):
                before = picked(self(self.start), n, output)
                self.given = rows_of(kept, torch.arange(n - 1, -1, -1))
                after = picked(self(self.start), n, output)
        finally:
            self.given = kept
        return bool(torch.equal(before, after))


def _is_same(x: torch.Tensor, y: torch.Tensor) -> bool:
    try:
        return torch.equal(x, y)
    except RuntimeError:  # inside torch.func.vmap
        return False
