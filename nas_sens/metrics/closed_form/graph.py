"""A network as a list of steps for the closed form: straight from nested ``nn.Sequential``, else traced by torch.fx."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .draws import NoClosedFormError
from .rules import RULES, Erf

POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Step:
    """One module, or one addition, and where its arguments come from.

    Args:
        name: The module's or graph node's name, for messages.
        module: The module to apply by its rule; None for the addition of two values.
        sources: Indices of the values it takes; 0 is the network's input, i + 1 the result of step i.
        needs_cross: Whether position-by-position moments are needed behind it, for a pool downstream.
    """

    name: str
    module: nn.Module | None
    sources: tuple[int, ...]
    needs_cross: bool = False


def steps_of(model: nn.Module) -> list[Step]:
    """Return the steps of ``model`` in order; the last one gives its output.

    Raises:
        NoClosedFormError: The network cannot be traced, or something in it has no rule.
    """
    chain = list(_chain("", model))
    if all(type(module) in RULES for _, module in chain):
        steps = [Step(name, module, (i,)) for i, (name, module) in enumerate(chain)]
    else:
        steps = _traced(model)
    if not any(isinstance(step.module, POOLS) for step in steps):
        return steps
    needs = [False] * (len(steps) + 1)  # per value
    for i in range(len(steps), 0, -1):
        step = steps[i - 1]
        if isinstance(step.module, POOLS) or (needs[i] and not isinstance(step.module, nn.Linear)):
            for source in step.sources:
                needs[source] = True
    return [Step(step.name, step.module, step.sources, needs[i + 1]) for i, step in enumerate(steps)]


def needs_cross_at_input(steps: list[Step]) -> bool:
    """Return whether a pool is reached from the input without a linear layer in between."""
    reach = {0}
    for i, step in enumerate(steps):
        if reach.intersection(step.sources):
            if isinstance(step.module, POOLS):
                return True
            if not isinstance(step.module, nn.Linear):
                reach.add(i + 1)
    return False


class ShapesOnly(TorchFunctionMode):
    """Context in which layers are built with shapes but neither memory nor initial values, twice as fast as with both.

    The same as ``torch.device("meta")``, except that the drawing of initial weights, which would draw nothing there
    but take most of the time, is left out.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return what ``func`` does, but with new tensors on the meta device, and without initialisation."""
        kwargs = kwargs or {}
        if func is torch.empty:
            return func(*args, **{**kwargs, "device": "meta"})
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)


def no_rule(name: str, kind: str, reason: str) -> NoClosedFormError:
    """Return the error for a step without a rule, naming it."""
    return NoClosedFormError(
        f"no closed form for {name!r} ({kind}): {reason}. Estimate it by Monte Carlo (output_sensitivity) instead"
    )


def _chain(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is nn.Sequential:
        for child_name, child in module.named_children():
            yield from _chain(f"{name}.{child_name}" if name else child_name, child)
    else:
        yield name or "model", module


def _traced(model: nn.Module) -> list[Step]:
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # fx raises whatever the model's Python raises on a proxy
        raise no_rule("model", type(model).__name__, f"torch.fx cannot trace it ({error})") from error
    steps: list[Step] = []
    values: dict[fx.Node, int] = {}  # nodes that are tensors
    sizes: set[fx.Node] = set()  # nodes that are shapes
    for node in graph.nodes:
        if node.op == "placeholder":
            if values:
                raise no_rule(node.name, "input", "a network with more than one input has no rule")
            values[node] = 0
        elif node.op == "output":
            result = node.args[0]
            if not isinstance(result, fx.Node) or result not in values:
                raise no_rule("output", type(result).__name__, "the output must be one tensor")
            if values[result] != len(steps):  # let the last step be the output
                steps.append(Step("output", nn.Identity(), (values[result],)))
        elif _is_size(node, values, sizes):
            sizes.add(node)
        else:
            for step in _steps_of_node(model, node, values, sizes, len(steps)):
                steps.append(step)
            values[node] = len(steps)
    return steps


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether ``m`` has a rule or is one of PyTorch's own layers."""
        return type(m) in RULES or super().is_leaf_module(m, module_qualified_name)


def _is_size(node: fx.Node, values: dict[fx.Node, int], sizes: set[fx.Node]) -> bool:
    if node.op == "call_method" and node.target == "size":
        return True
    if node.op == "call_function" and node.target is getattr and node.args[1] == "shape":
        return True
    return node.op == "call_function" and node.target is operator.getitem and node.args[0] in sizes


def _steps_of_node(
    model: nn.Module, node: fx.Node, values: dict[fx.Node, int], sizes: set[fx.Node], n_steps: int
) -> list[Step]:
    name, kind = _describe(model, node)
    tensors = [a for a in (*node.args, *node.kwargs.values()) if isinstance(a, fx.Node) and a in values]
    if node.target in _ADDITIONS and node.op != "call_module":
        if len(tensors) != 2 or node.kwargs.get("alpha", 1) != 1:
            raise no_rule(name, kind, "only the sum of two tensors has a rule")
        return [Step(name, None, (values[tensors[0]], values[tensors[1]]))]
    if node.op == "get_attr" or len(tensors) != 1:
        raise no_rule(name, kind, "no rule for this operation")
    is_module = node.op == "call_module"
    modules = [model.get_submodule(str(node.target))] if is_module else _modules_of_call(node, sizes)
    if not modules or type(modules[0]) not in RULES:
        raise no_rule(name, kind, "no rule for its type" if is_module else "no rule for this operation")
    steps, source = [], values[tensors[0]]
    for i, module in enumerate(modules):
        steps.append(Step(name, module, (source,)))
        source = n_steps + i + 1
    return steps


def _describe(model: nn.Module, node: fx.Node) -> tuple[str, str]:
    if node.op == "call_module":
        return str(node.target), type(model.get_submodule(str(node.target))).__name__
    stack = node.meta.get("nn_module_stack") or {}
    owner = list(stack.values())[-1] if stack else None  # (qualified name, type) of the module whose forward calls it
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if owner is None or not owner[0]:
        return node.name, str(name)
    return owner[0], f"{getattr(owner[1], '__name__', owner[1])}, operation {name}"


def _modules_of_call(node: fx.Node, sizes: set[fx.Node]) -> list[nn.Module]:
    """Return the modules that do what a function or method call does; none if there are none."""
    if node.target in ("view", "reshape", torch.reshape):
        shape = node.args[1] if len(node.args) == 2 else node.args[1:]
        is_flat = isinstance(shape, (tuple, list)) and len(shape) == 2 and shape[1] == -1 and shape[0] in sizes
        return [nn.Flatten()] if is_flat else []
    make = _CALLS.get(node.target)
    if make is None:
        return []
    kwargs = {k: v for k, v in node.kwargs.items() if k != "input"}
    try:
        return make(*node.args[1:], **kwargs)
    except (TypeError, ValueError):  # arguments that the equivalent module does not know
        return []


def _mean(dim: Any = None, keepdim: bool = False) -> list[nn.Module]:
    if not isinstance(dim, (tuple, list)) or {d if d >= 0 else d + 4 for d in dim} != {2, 3}:
        return []
    pool: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)]
    return pool if keepdim else [*pool, nn.Flatten()]


def _adaptive_pool(output_size: Any) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(output_size)]


_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
_CALLS: dict[Any, Callable[..., list[nn.Module]]] = {
    torch.erf: lambda: [Erf()],
    "erf": lambda: [Erf()],
    torch.flatten: lambda start_dim=0, end_dim=-1: [nn.Flatten(start_dim, end_dim)],
    "flatten": lambda start_dim=0, end_dim=-1: [nn.Flatten(start_dim, end_dim)],
    torch.mean: _mean,
    "mean": _mean,
    functional.adaptive_avg_pool2d: _adaptive_pool,
    functional.avg_pool2d: lambda *args, **kwargs: [nn.AvgPool2d(*args, **kwargs)],
    functional.dropout: lambda *args, **kwargs: [nn.Identity()],
    functional.dropout2d: lambda *args, **kwargs: [nn.Identity()],
    functional.leaky_relu: lambda negative_slope=0.01, inplace=False: [nn.LeakyReLU(negative_slope)],
    functional.gelu: lambda approximate="none": [nn.GELU(approximate)],
    **{relu: lambda inplace=False: [nn.ReLU()] for relu in (torch.relu, torch.relu_, functional.relu, "relu", "relu_")},
}
