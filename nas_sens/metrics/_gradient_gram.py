"""Gram matrix of the gradients of single inputs by all parameters, in bounded memory.

Symbols:

    g_i     gradient of v_i · f(x_i) by all parameters
    A, B    of a linear layer: its inputs, and the gradients of its outputs      (n, n_in), (n, n_out)

The gradient of input i by the layer's weight is the outer product of B_i and A_i, and that by its bias is B_i: they
never need to be formed, since their inner products are (A Aᵀ) ∘ (B Bᵀ) and B Bᵀ (Goodfellow, arXiv:1510.01799, has the
diagonal of it). All other parameters take gradients input by input, in blocks.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from ._network import leaf_parameters
from .output_sensitivity import evaluation_mode

_NUMBERS = 2**25  # gradient entries of a block: 128 MB in float32, and two blocks are held at a time
_PASS = 64  # inputs of a pass for linear layers


def gradient_gram(
    model: nn.Module, x: torch.Tensor, vectors: torch.Tensor, *, block_size: int | None = None
) -> torch.Tensor:
    """Return G (n, n), G[i, j] = g_i · g_j, where g_i is the gradient of v_i · f(x_i) by all parameters.

    Evaluation mode: batch norms have their running statistics, so that no input enters the gradient of another. Beside
    linear layers, gradients of two blocks of b inputs are in memory at a time; those of a block are computed anew for
    every other block, n / b times in all.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        vectors: v (n, K), for example gradients of a loss by the outputs.
        block_size: b; None for what fits into 128 MB of float32.

    Returns:
        The Gram matrix, exactly symmetric, in float64.
    """
    with evaluation_mode(model):
        gram, done = _gram_of_linear_layers(model, x, vectors)
        _add_gram_of_others_(gram, model, x, vectors, done, block_size)
    return (gram + gram.T) / 2  # products are symmetric but for rounding


def _gram_of_linear_layers(
    model: nn.Module, x: torch.Tensor, vectors: torch.Tensor
) -> tuple[torch.Tensor, frozenset[str]]:
    """Return the Gram matrix of the parameters of linear layers on vectors, and these parameters' names."""
    uses = Counter(id(p) for m in model.modules() for p in m.parameters(recurse=False))
    layers = {
        name: m
        for name, m in model.named_modules()
        if type(m) is nn.Linear and all(uses[id(p)] == 1 for p in m.parameters())
    }
    names: dict[nn.Module, str] = {m: name for name, m in layers.items()}
    calls: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    # What follows gets a copy: an in-place activation would overwrite the output, which gradients are taken by.
    def keep(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        calls.append((names[module], arguments[0].detach().double(), output))
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
                for (name, a, _), b in zip(calls, gradients, strict=True):
                    parts[name].append((a, b.double()))
    finally:
        for hook in hooks:
            hook.remove()
    gram = torch.zeros((len(x), len(x)), dtype=torch.float64, device=x.device)
    done = set()
    n_passes = -(-len(x) // _PASS)
    for name, found in parts.items():
        if len(found) != n_passes or found[0][0].ndim != 2:
            continue  # not called, called more than once, or on tokens: it goes with the others
        a, b = (torch.cat([pair[i] for pair in found]) for i in range(2))
        outer = b @ b.T
        gram += (a @ a.T) * outer
        if layers[name].bias is not None:
            gram += outer
        done |= {f"{name}.{p}" if name else p for p, _ in layers[name].named_parameters()}
    return gram, frozenset(done)


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
