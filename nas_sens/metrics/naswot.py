"""NASWOT: how differently the ReLU units of a network answer to different inputs (Mellor et al., 2021)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import probing_mode, require_inputs

RELUS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU)


@torch.no_grad()
def naswot(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return log |det K_H|, where K_H[i, j] = N_A − d_H(c_i, c_j).

    Source: Mellor et al., Neural architecture search without training, arXiv:2006.04647v3, eq. 1–2: c_i is the binary
    code of input i, 1 for every ReLU unit with a positive pre-activation, N_A the number of units and d_H the Hamming
    distance. Larger is expected to be better. Every call of a ReLU module counts, as in the authors' code, which takes
    ReLU6 and leaky ReLUs, too.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), one minibatch (128 in the paper), at least two.
        y: Not used.
        batch_statistics: Whether batch norms use the statistics of ``x``, as the paper does, or their running ones.
        generator: Not used; nothing is drawn.

    Returns:
        The logarithm; -inf where two inputs have the same code, as equal inputs always have.

    Raises:
        InvalidInputError: There are fewer than two inputs, or no ReLU modules.
    """
    require_inputs(x, 2)
    with Agreements(model, x) as agreements, probing_mode(model, batch_statistics=batch_statistics):
        model(x)
    return agreements.log_determinant()


class Agreements:
    """Context in which a network's forward pass of some inputs is watched: how many ReLU units answer alike to both.

    Args:
        model: The network.
        x: The inputs (n, *input_shape).
    """

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        self._relus = [m for m in model.modules() if isinstance(m, RELUS)]
        self._kernel = torch.zeros((len(x), len(x)), dtype=torch.float64, device=x.device)
        self._n_calls = 0

    def __enter__(self) -> Agreements:
        # A pre-hook, since an in-place ReLU has overwritten its input when a forward hook sees it.
        self._hooks = [m.register_forward_pre_hook(self._add) for m in self._relus]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def _add(self, module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        code = (arguments[0] > 0).flatten(1).to(torch.float32)  # counts below 2^24 are exact
        ones = code.sum(dim=1)
        # Agreements are c·c' + (1 - c)·(1 - c'), which needs but one product of matrices.
        self._kernel.add_(2 * (code @ code.T) - ones[:, None] - ones[None, :] + code.shape[1])
        self._n_calls += 1

    def log_determinant(self) -> float:
        """Return log |det K_H|; waits for the device.

        Raises:
            InvalidInputError: No ReLU module was called.
        """
        if not self._n_calls:
            raise InvalidInputError(
                "ReLU modules are needed; the network calls none (a function such as F.relu is unseen)"
            )
        return float(torch.linalg.slogdet(self._kernel).logabsdet)


METRIC = Metric(
    function=naswot,
    direction="larger",
    source="Mellor et al. 2021, arXiv:2006.04647v3, eq. 1-2",
    cost="forward",
    requirements="ReLU modules; at least 2 inputs",
)
