"""The weights of a network that measures are over: of which layers, and what they are where a layer computes them.

A layer behind ``weight_norm``, ``spectral_norm``, ``orthogonal``, a mask of pruning or any other parametrisation has no
weight of its own: it computes one from other parameters. What measures mean is the weight that the layer multiplies by.
So they look at a twin of such a network, in which computed weights are parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.parameter import UninitializedBuffer, is_lazy
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm
from torch.utils._python_dispatch import TorchDispatchMode

from ..architectures.flop_counter import is_product
from ..core.errors import InvalidInputError, first_line
from ..core.module_mode import evaluation_mode

WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Their weights count, but what they multiply is not the output of a module, nor is it always one matrix.
_INNER_WEIGHTS = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
_OTHERS = (*_INNER_WEIGHTS, _ConvTransposeNd)
_HOOKS: dict[type, Callable[[nn.Module, str], Any]] = {
    WeightNorm: remove_weight_norm,
    SpectralNorm: remove_spectral_norm,
    prune.BasePruningMethod: prune.remove,
}


def with_plain_weights(model: nn.Module) -> nn.Module:
    """Return the network itself, or where weights are computed a twin in evaluation mode that has them as parameters.

    Raises:
        InvalidInputError: Such a network cannot be copied.
    """
    if not any(_is_computed(m) for m in model.modules()):
        return model
    twin = copy_of(model).eval()
    for module in twin.modules():
        if parametrize.is_parametrized(module):
            names: Any = module.parametrizations
            weights = {name: getattr(module, name).detach().clone() for name in names}
            # Not by remove_parametrizations: it takes the property from the class, which a copy shares.
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            for name, weight in weights.items():
                setattr(module, name, nn.Parameter(weight))
        for name, remove in _computing_hooks(module):
            remove(module, name)
    return twin


def copy_of(model: nn.Module) -> nn.Module:
    """Return a copy of a network, also of one with a tensor that was computed or that has no shape yet.

    Raises:
        InvalidInputError: It cannot be copied.
    """
    tensors = [v for m in model.modules() for v in vars(m).values() if isinstance(v, torch.Tensor)]
    copies = {id(t): t.detach().clone() for t in tensors if not t.is_leaf or t.is_inference()}
    # Nor does it copy buffers without a shape, though it does parameters.
    copies |= {id(b): _without_shape(b) for b in model.buffers() if is_lazy(b)}
    try:
        return copy.deepcopy(model, copies)
    except Exception as error:  # whatever the parts of a foreign module raise
        raise InvalidInputError(
            f"the network must be copied to be measured, as it computes its weights or is lazy; it cannot: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


def _without_shape(buffer: Any) -> Any:
    make: Any = UninitializedBuffer
    return make(device=buffer.device, dtype=buffer.dtype)


def weight_tensors(model: nn.Module, x: torch.Tensor | None) -> list[torch.Tensor]:
    """Return the weights of all layers, without biases; shared ones once.

    These are linear, bilinear, convolution, attention and recurrent layers, and modules of other kinds that multiply by
    a parameter of their own; a network that computes weights has another one with plain weights, see
    :func:`with_plain_weights`.

    Args:
        model: The network.
        x: Inputs (n, *input_shape), of which one is run where modules of other kinds have parameters; None for layers
            alone.

    Raises:
        InvalidInputError: There are none, or some are packed, complex or TorchScript's.
    """
    require_layers(model)
    owned = {id(w): w for m in model.modules() for w in _weights_of(m)}
    owned |= {id(w): w for w in multiplied_parameters(model, x).values()}
    if not owned:
        raise InvalidInputError("a linear or convolution layer is needed; the network has none")
    return list(owned.values())


def layer_weights(model: nn.Module, x: torch.Tensor | None) -> list[str]:
    """Return the names of these weights, which takes more time.

    Raises:
        InvalidInputError: There are none, or some are packed, complex or TorchScript's.
    """
    owned = {id(w) for w in weight_tensors(model, x)}
    return [name for name, p in model.named_parameters() if id(p) in owned]


def multiplied_parameters(model: nn.Module, x: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Return by name the parameters of no known layer that one forward pass multiplies by, as a layer does.

    It is made only where there are any that could be: class tokens and tables of positions are of the same shapes.
    """
    known = {id(p) for m in model.modules() if isinstance(m, _KNOWN) for p in m.parameters(recurse=False)}
    others = {n: p for n, p in model.named_parameters() if p.ndim > 1 and id(p) not in known}
    if not others or x is None or not len(x):
        return {}
    storages = {p.untyped_storage()._cdata: name for name, p in others.items()}
    copies: list[torch.Tensor] = []  # kept, as the place of one that is gone would be given to another
    found: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if is_product(func):
                given = [a.untyped_storage()._cdata for a in args if isinstance(a, torch.Tensor)]
                found.update(storages[s] for s in given if s in storages)
            result = func(*args, **(kwargs or {}))
            # Of a table of three axes, or of another type, it is a copy that is multiplied.
            if func.overloadpacket in _COPIES and args[0].untyped_storage()._cdata in storages:
                copies.append(result)
                storages[result.untyped_storage()._cdata] = storages[args[0].untyped_storage()._cdata]
            return result

    with torch.no_grad(), evaluation_mode(model), Watch():
        model(x[:1])
    return {n: p for n, p in others.items() if n in found}


def require_floats(model: nn.Module) -> None:
    """Check that no layer is quantised: it has no parameters and no gradients, and would be left out silently.

    Raises:
        InvalidInputError: One is.
    """
    for name, module in model.named_modules():
        if type(module).__module__.startswith(_QUANTISED):
            raise InvalidInputError(
                f"not defined for quantised layers, whose weights are packed integers; {name!r} is a "
                f"{type(module).__module__}.{type(module).__name__}; measure the network before it is quantised"
            )


def require_layers(model: nn.Module) -> None:
    """Check that layers and their weights can be told: real numbers, neither packed nor inside TorchScript.

    Raises:
        InvalidInputError: They cannot.
    """
    require_floats(model)
    if name := next((n or "it" for n, m in model.named_modules() if isinstance(m, torch.jit.ScriptModule)), ""):
        raise InvalidInputError(
            f"not defined for modules of TorchScript, whose layers cannot be told; {name!r} is one; measure the module "
            "that it was made of"
        )
    if name := next((n for n, p in model.named_parameters() if p.is_complex()), ""):
        raise InvalidInputError(f"not defined for complex weights; {name!r} has such")


def require_layers_of_their_own(model: nn.Module, called: set[nn.Module], x: torch.Tensor) -> None:
    """Check that a measure that watches linear and convolution layers saw all of them that the outputs depend on.

    Args:
        model: The network.
        called: The layers that were called as modules.
        x: Inputs, of which one is run where some were not.

    Raises:
        InvalidInputError: A layer's weight is used in another way than by a call of the layer.
    """
    for name, module in model.named_modules():
        if isinstance(module, _OTHERS) and not isinstance(module, _ConvTransposeNd):
            raise InvalidInputError(
                f"not defined for {type(module).__name__}, which multiplies by its weights inside; {name!r} is one"
            )
    if own := multiplied_parameters(with_plain_weights(model), x):
        raise InvalidInputError(f"not defined where a parameter outside layers multiplies; {next(iter(own))!r} does")
    unseen = {n: m for n, m in model.named_modules() if isinstance(m, LAYERS_WITH_OUTPUT) and m not in called}
    weights = {n: m.weight for n, m in unseen.items() if isinstance(m.weight, nn.Parameter)}
    if not weights:
        return
    flags = [(w, w.requires_grad) for w in weights.values()]
    try:
        for w, _ in flags:
            w.requires_grad_(True)
        with torch.enable_grad(), evaluation_mode(model):
            total = model(x[:1]).sum()
            if not total.requires_grad:
                return
            gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    finally:
        for w, required in flags:
            w.requires_grad_(required)
    used = [n for n, g in zip(weights, gradients, strict=True) if g is not None]
    if used:
        raise InvalidInputError(f"not defined where the weight of a layer is used without a call of it: {used[0]!r}")


_KNOWN = (*WEIGHT_LAYERS, *_OTHERS, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm)
LAYERS_WITH_OUTPUT = (*WEIGHT_LAYERS, _ConvTransposeNd)
_COPIES = (torch.ops.aten.clone, torch.ops.aten._to_copy)
_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def _weights_of(module: nn.Module) -> Iterator[torch.Tensor]:
    if isinstance(module, (*WEIGHT_LAYERS, _ConvTransposeNd, nn.Bilinear)):
        yield module.weight
    elif isinstance(module, nn.MultiheadAttention):
        names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        yield from (w for name in names if (w := getattr(module, name)) is not None)
    elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        yield from (w for name, w in module.named_parameters(recurse=False) if name.startswith("weight_"))


def _is_computed(module: nn.Module) -> bool:
    return parametrize.is_parametrized(module) or bool(_computing_hooks(module))


def _computing_hooks(module: nn.Module) -> list[tuple[str, Callable[[nn.Module, str], Any]]]:
    """Return what the hooks of a module compute before it is called, and how the library takes each away."""
    hooks: list[Any] = list(module._forward_pre_hooks.values())
    removes: list[tuple[Any, Callable[[nn.Module, str], Any]]] = [
        (hook, remove) for hook in hooks for kind, remove in _HOOKS.items() if isinstance(hook, kind)
    ]
    return [(hook._tensor_name if remove is prune.remove else hook.name, remove) for hook, remove in removes]
