"""Gram matrix of the gradients of single inputs by all parameters, in bounded memory.

Symbols:

    g_i     gradient of v_i · f(x_i) by all parameters
    U       what a layer's weight is multiplied by: inputs, at P positions (tokens, or patches of images)   (n, P, d)
    B       gradients of the layer's outputs at these positions                                             (n, P, o)

The gradient of input i by the weight of a linear or convolution layer is Σ_p B_ip U_ipᵀ. Where positions are few it
need not be formed, as inner products are Σ_pq (U_ip · U_jq)(B_ip · B_jq), for one position (U Uᵀ) ∘ (B Bᵀ)
(Goodfellow, arXiv:1510.01799, has the diagonal of it). All other parameters take gradients input by input, in blocks.
"""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from ..core.module_mode import evaluation_mode
from ._network import leaf_parameters
from ._weights import require_layers

_NUMBERS = 2**25  # gradient entries of a block: 128 MB in float32, and two blocks are held at a time
_PASS = 64  # inputs of a pass for layers with factors


def gradient_gram(
    model: nn.Module, x: torch.Tensor, vectors: torch.Tensor, *, block_size: int | None = None
) -> torch.Tensor:
    """Return G (n, n), G[i, j] = g_i · g_j, where g_i is the gradient of v_i · f(x_i) by all parameters.

    Evaluation mode: batch norms have their running statistics, so that no input enters the gradient of another.
    Gradients of two blocks of b inputs are in memory at a time; those of a block are computed anew for every other
    block, n / b times in all.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        vectors: v (n, K), for example gradients of a loss by the outputs.
        block_size: b; None for what fits into 128 MB of float32.

    Returns:
        The Gram matrix, exactly symmetric, in float64.
    """
    require_layers(model)
    with evaluation_mode(model):
        gram, done = _gram_of_factored_layers(model, x, vectors)
        _add_gram_of_others_(gram, model, x, vectors, done, block_size)
    return (gram + gram.T) / 2  # products are symmetric but for rounding


def _gram_of_factored_layers(
    model: nn.Module, x: torch.Tensor, vectors: torch.Tensor, *, most_numbers: int = _NUMBERS
) -> tuple[torch.Tensor, frozenset[str]]:
    """Return the Gram matrix of the parameters of layers with few positions, and these parameters' names."""
    uses = Counter(id(p) for m in model.modules() for p in m.parameters(recurse=False))
    layers = {
        name: m
        for name, m in model.named_modules()
        if (type(m) is nn.Linear or (type(m) is nn.Conv2d and m.groups == 1 and m.padding_mode == "zeros"))
        and {n for n, _ in m.named_parameters()} <= {"weight", "bias"}  # not those that compute their weight
        and all(uses[id(p)] == 1 for p in m.parameters())
    }
    names: dict[nn.Module, str] = {m: name for name, m in layers.items()}
    calls: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    # What follows gets a copy: an in-place activation would overwrite the output, which gradients are taken by.
    def keep(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        u = _multiplied(module, arguments[0].detach(), output)
        if u is None:
            return output
        calls.append((names[module], u, output))
        return output.clone()

    parts: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in layers}
    parameters = leaf_parameters(model)
    hooks = [m.register_forward_hook(keep) for m in layers.values()]
    try:
        for inputs, v in zip(x.split(_PASS), vectors.split(_PASS), strict=True):
            calls.clear()
            with torch.enable_grad():
                total = (functional_call(model, parameters, (inputs,)) * v).sum()
            if calls:
                gradients = torch.autograd.grad(total, [c[2] for c in calls], materialize_grads=True)
                for (name, u, _), b in zip(calls, gradients, strict=True):
                    by_position = b.flatten(2).mT if isinstance(layers[name], nn.Conv2d) else b
                    parts[name].append((u.double(), by_position.reshape(*u.shape[:2], -1).double()))
    finally:
        for hook in hooks:
            hook.remove()
    gram = torch.zeros((len(x), len(x)), dtype=torch.float64, device=x.device)
    done = set()
    n_passes = -(-len(x) // _PASS)
    for name, found in parts.items():
        if len(found) != n_passes:
            continue  # not called, called more than once, or at many positions: it goes with the others
        u, b = (torch.cat([pair[i] for pair in found]) for i in range(2))
        _add_products_(gram, u, b, most_numbers)
        if layers[name].bias is not None:
            gram += b.sum(dim=1) @ b.sum(dim=1).T
        done |= {f"{name}.{p}" if name else p for p, _ in layers[name].named_parameters()}
    return gram, frozenset(done)


def _multiplied(module: nn.Module, given: torch.Tensor, output: torch.Tensor) -> torch.Tensor | None:
    """Return U (n, P, d); None where there are so many positions that gradients cost less."""
    if isinstance(module, nn.Linear):
        n_positions, d, o = math.prod(given.shape[1:-1]), module.in_features, module.out_features
    else:
        assert isinstance(module, nn.Conv2d)
        n_positions, d, o = math.prod(output.shape[2:]), module.weight[0].numel(), module.out_channels
    if n_positions > 1 and n_positions**2 * (d + o) > d * o:
        return None
    if isinstance(module, nn.Linear):
        return given.reshape(len(given), n_positions, d)
    if isinstance(module.padding, str):
        return None
    patches = F.unfold(
        given, module.kernel_size, dilation=module.dilation, padding=module.padding, stride=module.stride
    )
    return patches.mT


def _add_products_(gram: torch.Tensor, u: torch.Tensor, b: torch.Tensor, most_numbers: int) -> None:
    """Add Σ_pq (U_ip · U_jq)(B_ip · B_jq) to the matrix, some rows at a time."""
    n, n_positions, _ = u.shape
    rows = max(1, most_numbers // (n * n_positions**2))
    for i in range(0, n, rows):
        left_u, left_b = u[i : i + rows].flatten(0, 1), b[i : i + rows].flatten(0, 1)
        products = (left_u @ u.flatten(0, 1).T).mul_(left_b @ b.flatten(0, 1).T)
        gram[i : i + rows] += products.view(-1, n_positions, n, n_positions).sum(dim=(1, 3))


def _add_gram_of_others_(
    gram: torch.Tensor,
    model: nn.Module,
    x: torch.Tensor,
    vectors: torch.Tensor,
    done: frozenset[str],
    block_size: int | None,
) -> None:
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.is_floating_point()}
    others = {n: p for n, p in parameters.items() if n not in done}
    if not others:
        return
    size = block_size or max(1, min(len(x), _NUMBERS // sum(p.numel() for p in others.values())))

    def product(values: dict[str, torch.Tensor], one: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (functional_call(model, {**parameters, **values}, (one[None],))[0] * v).sum()

    per_input = vmap(grad(product), in_dims=(None, 0, 0))

    def gradients(start: int) -> list[torch.Tensor]:
        part = slice(start, start + size)
        return [g.flatten(1) for g in per_input(others, x[part], vectors[part]).values()]

    with torch.no_grad():
        for i in range(0, len(x), size):
            left = gradients(i)
            for j in range(i, len(x), size):
                right = left if j == i else gradients(j)
                block = torch.stack([(a @ b.T).double() for a, b in zip(left, right, strict=True)]).sum(dim=0)
                gram[i : i + size, j : j + size] += block
                if j > i:
                    gram[j : j + size, i : i + size] += block.T
