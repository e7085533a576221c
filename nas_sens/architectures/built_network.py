"""A network that a function puts together and draws by itself: built without memory, drawn anew by a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn

from ..core.random_state import global_stream
from .initialization import SelfInitialized, has_rules


class BuiltNetwork(SelfInitialized):
    """A network that can be built on the meta device, and that draws its own initial weights from a generator.

    Args:
        make: Returns the network on the current default device; must make the same layers at every call.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self._make = make
        with global_stream(None):
            try:
                self.net = make()
            except (RuntimeError, NotImplementedError) as error:
                if "meta" not in str(error).lower():
                    raise
                with torch.device("cpu"):  # a network that looks at values while it is put together
                    self.net = make().to("meta")

    @property
    def is_drawn_by_rule(self) -> bool:
        """Whether every scheme but its own draws all of its parameters, so that its closed form has a meaning."""
        return has_rules(self.net)

    def forward(self, x: torch.Tensor) -> Any:
        """Return the outputs for inputs ``x``."""
        if issubclass(type(x), fx.Proxy) and not self.is_drawn_by_rule:
            # The closed form traces by fx, and would take weights for drawn by a scheme that the network itself drew.
            raise NotImplementedError("the network draws parameters by itself that no scheme has a rule for")
        return self.net(x)

    def to_empty(self, *, device: torch.device | str | int | None, recurse: bool = True) -> BuiltNetwork:
        """Move to ``device`` without the values of parameters; buffers get theirs, since they are no weights.

        Position tables and the like are computed while a network is put together: no scheme and no stored weights
        (they are seldom part of a state dict) would ever give them back.

        Returns:
            The network itself, changed in place.
        """
        super().to_empty(device=device, recurse=recurse)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()
        is_statistic = ("running_mean", "running_var", "num_batches_tracked")
        if any(name.rpartition(".")[2] not in is_statistic for name, _ in self.net.named_buffers()):
            _copy_(dict(self._twin(0).named_buffers()), dict(self.net.named_buffers()))
        return self

    def reset_(self, generator: torch.Generator | None) -> None:
        """Draw all parameters as the function does, and put buffers back, in place."""
        device = None if generator is None else generator.device
        seed = int(torch.randint(2**62, (), generator=generator, device=device or "cpu"))
        twin = self._twin(seed)
        _copy_(dict(twin.named_parameters()), dict(self.net.named_parameters()))
        _copy_(dict(twin.named_buffers()), dict(self.net.named_buffers()))

    def _twin(self, seed: int) -> nn.Module:
        # On the CPU whatever the device: the same generator gives the same weights everywhere.
        with torch.device("cpu"), global_stream(seed):
            return self._make()


class BuiltNetworkOfMany(BuiltNetwork):
    """A network of several input tensors, by position or by keyword; of these there is no closed form."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for inputs."""
        return self.net(*args, **kwargs)


def own_network(model: nn.Module) -> nn.Module:
    """Return what a function of the user's returned, with its own methods and arguments; other networks as they are.

    Args:
        model: A network that a spec built.
    """
    if not isinstance(model, BuiltNetwork) or type(model) not in (BuiltNetwork, BuiltNetworkOfMany):
        return model
    return model.net


def state_as_built(state: Mapping[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a state by the names that it has in a network that a spec built.

    Args:
        state: Of such a network, or of its :func:`own_network`.
        model: Such a network; the meta device will do.
    """
    own = own_network(model)
    is_own = own is not model and state.keys() == own.state_dict().keys()
    return {f"net.{name}" if is_own else name: tensor for name, tensor in state.items()}


@torch.no_grad()
def _copy_(source: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
