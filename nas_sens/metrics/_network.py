"""What several measures need of a network: its mode, its loss and gradients; nothing of it is altered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._weights import layer_weights, with_plain_weights

_BLOCK = 4096  # numbers whose squares are summed in their own type


@contextmanager
def probing_mode(model: nn.Module, *, batch_statistics: bool) -> Iterator[None]:
    """Keep ``model`` in evaluation mode, with ``batch_statistics`` but for its batch norms, and then restore it.

    Batch norms then normalise by the batch at hand, as in training, without a change of their running statistics;
    dropout stays off, so that equal inputs give equal results. Untrained batch norms have running statistics (0 and 1)
    that normalise nothing: the training-free literature measures with those of the batch.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)] if batch_statistics else []
    tracked = [(m, m.track_running_stats) for m in norms]
    with evaluation_mode(model):
        try:
            for norm in norms:
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            for norm, before in tracked:
                norm.training, norm.track_running_stats = False, before


def leaf_parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return all parameters by name as leaves of their own that share memory: gradients never reach the model's."""
    return {name: p.detach().requires_grad_() for name, p in model.named_parameters() if p.is_floating_point()}


def require_labels(x: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
    """Return ``y``.

    Raises:
        InvalidInputError: It is missing, or its length is not that of ``x``.
    """
    if y is None:
        raise InvalidInputError("labels are needed, one for each input; none given; pass y")
    if len(y) != len(x):
        raise InvalidInputError(f"one label for each input is needed; given {len(x)} inputs and {len(y)} labels")
    return y


def require_inputs(x: torch.Tensor, least: int) -> None:
    """Check that there are at least ``least`` inputs of a floating type.

    Raises:
        InvalidInputError: There are fewer, or they are integers.
    """
    if len(x) < least:
        raise InvalidInputError(f"at least {least} inputs are needed; given {len(x)}")
    if not x.is_floating_point():
        raise InvalidInputError(f"floating-point inputs are needed; given {x.dtype}; convert them first")


@torch.no_grad()
def outputs_of(model: nn.Module, x: torch.Tensor, *, batch_size: int) -> torch.Tensor:
    """Return the outputs (n, …) of all inputs in evaluation mode, float64 on the CPU; the device is waited for once.

    Raises:
        InvalidInputError: There are no inputs.
    """
    require_inputs(x, 1)
    with evaluation_mode(model):
        return torch.cat([model(inputs) for inputs in x.split(batch_size)]).cpu().double()


def require_classes(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return classes (n,) of outputs (n, K), int64 on the CPU.

    Raises:
        InvalidInputError: They are not those of the outputs.
    """
    if y.is_floating_point() or y.ndim != 1:
        raise InvalidInputError(f"classes (n,) of an integer type are needed; given {y.dtype} {tuple(y.shape)}")
    classes = y.cpu().long()
    if outputs.ndim != 2 or int(classes.min()) < 0 or int(classes.max()) >= outputs.shape[1]:
        raise InvalidInputError(
            f"outputs (n, K) and classes from 0 to K - 1 are needed; given outputs {tuple(outputs.shape)} and classes "
            f"from {int(classes.min())} to {int(classes.max())}"
        )
    return classes


def losses(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the loss (n,) of every output (n, K): cross-entropy for labels of an integer type, else squared error.

    Raises:
        InvalidInputError: Labels do not fit the outputs.
    """
    if y.is_floating_point():
        if y.numel() != outputs.numel():
            raise InvalidInputError(
                f"targets must have the shape of the outputs, {tuple(outputs.shape)}; given {tuple(y.shape)}"
            )
        return (outputs - y.reshape(outputs.shape)).square().flatten(1).mean(dim=1)
    if y.ndim != 1 or outputs.ndim != 2:
        raise InvalidInputError(
            f"labels (n,) and outputs (n, K) are needed; given shapes {tuple(y.shape)} and {tuple(outputs.shape)}"
        )
    return F.cross_entropy(outputs, y.long(), reduction="none")


def layer_norms(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the L2 norm of each tensor (m,), float64 on the CPU, at the cost of a norm in the tensors' own type.

    Squares are summed in their own type over blocks and in float64 over these, which loses nothing unless they leave
    that type's range: then, which is seen in the norms, everything is done in float64.
    """
    norms = torch.stack([_blocked_norm(t) for t in tensors]).cpu()  # the device is waited for once
    smallest, largest = norms.aminmax()
    if float(smallest) > 1e-10 and float(largest) < 1e18:
        return norms
    return torch.stack([torch.linalg.vector_norm(t.double()) for t in tensors]).cpu()


def _blocked_norm(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.flatten()
    if len(flat) < 4 * _BLOCK:
        return torch.linalg.vector_norm(flat.double())
    whole = len(flat) - len(flat) % _BLOCK
    blocks = torch.linalg.vector_norm(flat[:whole].view(-1, _BLOCK), dim=1)
    rest = torch.linalg.vector_norm(flat[whole:].double())
    return torch.hypot(torch.linalg.vector_norm(blocks.double()), rest)


def loss_gradients(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None, *, batch_statistics: bool
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return weight and gradient of the mean loss for every layer with weights, by the weight's name.

    A weight that the outputs do not depend on has the gradient 0. Of a layer that computes its weight, the gradient is
    by what it computes. All inputs go through in one pass.

    Raises:
        InvalidInputError: There are no labels, no inputs or no such layers.
    """
    require_inputs(x, 1)
    y = require_labels(x, y)
    model = with_plain_weights(model)
    parameters = leaf_parameters(model)
    names = layer_weights(model, x)
    with torch.enable_grad(), probing_mode(model, batch_statistics=batch_statistics):
        loss = losses(functional_call(model, parameters, (x,)), y).mean()
        gradients = torch.autograd.grad(loss, [parameters[n] for n in names], materialize_grads=True)
    return {n: (parameters[n].detach(), g) for n, g in zip(names, gradients, strict=True)}
