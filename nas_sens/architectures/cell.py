"""Networks of one repeated cell, those of NAS-Bench-201 (Dong and Yang, arXiv:2001.00326).

A cell has four nodes. Node 0 is its input; node i is the sum over j < i of operation (i, j) applied to node j; node 3
is its output. With five operations on six edges there are 5⁶ = 15,625 cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.declarations import validate
from ..core.errors import InfeasibleArchitectureError, InvalidInputError
from .base import SPEC_CONFIG, ArchitectureSpec, Count, Layers, require_images
from .cell_isomorphism import EDGES, N_NODES, is_dead, leads_to_output, representative
from .cell_paths import path_counts

Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
OPERATIONS: tuple[str, ...] = get_args(Operation)
_EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class CellSpec(ArchitectureSpec):
    """A network of NAS-Bench-201: three stages of equal cells.

    A 3×3 convolution and batch norm; ``cells_per_stage`` cells; twice a residual block, which halves the feature map
    and doubles the channels, and as many cells; batch norm, ReLU, average pool, linear (figure 1 of the paper).
    Convolutions have no bias and stand between ReLU and batch norm. The benchmark's results are for 16 channels and 5
    cells a stage on images of 32×32; smaller networks of the same cell are cheaper to score. Edges that do not lead to
    the output have parameters, which count as in the benchmark, but are not computed. A network whose cell passes
    nothing on (:attr:`is_dead`) builds as any other; its sensitivity is 0, and scoring says "dead".

    Args:
        op_1_0: Operation from node 0 to node 1; so with the others.
        op_2_0: See ``op_1_0``.
        op_2_1: See ``op_1_0``.
        op_3_0: See ``op_1_0``.
        op_3_1: See ``op_1_0``.
        op_3_2: See ``op_1_0``.
        channels: Channels of the first stage.
        cells_per_stage: Cells of every stage.
    """

    family: ClassVar[str] = "cell"

    op_1_0: Operation
    op_2_0: Operation
    op_2_1: Operation
    op_3_0: Operation
    op_3_1: Operation
    op_3_2: Operation
    channels: Count = 16
    cells_per_stage: Layers = 5

    @classmethod
    def from_string(cls, arch: str, **options: Any) -> CellSpec:
        """Return the network of a cell in the benchmark's own string form.

        Args:
            arch: For example ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|``.
            **options: Other fields than the operations.

        Raises:
            InvalidInputError: The string is no cell of the benchmark, or an option is wrong.
        """
        operations = _by_name(re.findall(r"(\w+)~\d\|", arch))
        if not set(operations.values()) <= {*OPERATIONS} or _to_string(operations) != arch:
            raise InvalidInputError(
                f"a cell must be written like {_EXAMPLE} with operations of {', '.join(OPERATIONS)}; given {arch!r}"
            )
        return validate(cls, {**operations, **options}, source=f"cell {arch}")

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations in the order of :data:`EDGES`, that of the benchmark's strings."""
        return tuple(getattr(self, f"op_{i}_{j}") for i, j in EDGES)

    @property
    def arch_string(self) -> str:
        """The cell in the benchmark's own string form (the inverse of :meth:`from_string`)."""
        return _to_string(_by_name(self.operations))

    @property
    def known_as(self) -> tuple[str, ...]:
        """The cell in the benchmark's own string form; results there are for 16 channels and 5 cells a stage."""
        return (self.arch_string,)

    @classmethod
    def structure(cls, values: Mapping[str, Any]) -> dict[str, float]:
        """Return how the paths through the cell look (see :func:`.cell_paths.path_counts`)."""
        return path_counts(tuple(values[f"op_{i}_{j}"] for i, j in EDGES))

    @cached_property
    def is_dead(self) -> bool:
        """Whether no path leads from the cell's input to its output, so that the network ignores its input."""
        return is_dead(self.operations)

    @cached_property
    def canonical(self) -> CellSpec:
        """The same network with the one cell that stands for all that compute the same untrained function.

        A spec and its canonical one have equal sensitivities, up to the random numbers that their layers take, but not
        always equal numbers of parameters. See :mod:`~nas_sens.architectures.cell_isomorphism` for which cells are the
        same.
        """
        return replace(self, **_by_name(representative(self.operations)))  # type: ignore[arg-type]

    def size(self, input_shape: tuple[int, ...], n_outputs: int) -> tuple[int, int]:
        """Return parameters and floating-point operations; edges that lead nowhere have parameters only."""
        n_in, height, width = self._check(input_shape)
        n, area = self.channels, height * width
        params, products = 9 * n_in * n + 2 * n, 9 * n_in * n * area
        taps = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
        kernels = [taps.get(op, 0) for op in self.operations]
        computed = sum(k for k, is_used in zip(kernels, leads_to_output(self.operations), strict=True) if is_used)
        n_norms = sum(k > 0 for k in kernels)
        for stage in range(3):
            if stage > 0:
                area //= 4
                body = 9 * n * 2 * n + 9 * (2 * n) ** 2 + 2 * n**2  # two convolutions and the shortcut's
                params, products = params + body + 8 * n, products + body * area
                n *= 2
            params += self.cells_per_stage * (sum(kernels) * n**2 + n_norms * 2 * n)
            products += self.cells_per_stage * computed * n**2 * area
        return params + 2 * n + (n + 1) * n_outputs, 2 * (products + n * n_outputs)

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return stem, three stages of cells with residual blocks between them, and read-out.

        Raises:
            InfeasibleArchitectureError: The input is no image, or its sides are no multiples of 4.
        """
        n_in, n = self._check(input_shape)[0], self.channels
        modules: list[nn.Module] = [nn.Conv2d(n_in, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)]
        for stage in range(3):
            if stage > 0:
                modules.append(ReductionBlock(n, 2 * n))
                n *= 2
            modules += [Cell(self.operations, n) for _ in range(self.cells_per_stage)]
        modules += [nn.BatchNorm2d(n), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, n_outputs)]
        return nn.Sequential(*modules)

    def _check(self, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
        n_in, height, width = require_images(self.family, input_shape)
        if height % 4 or width % 4:
            raise InfeasibleArchitectureError(
                f"a cell network halves its feature map twice and needs sides that are multiples of 4, "
                f"but they are {height} and {width}"
            )
        return n_in, height, width


def _by_name(operations: Sequence[str]) -> dict[str, str]:
    return {f"op_{i}_{j}": name for (i, j), name in zip(EDGES, operations, strict=False)}


def _to_string(operations: dict[str, str]) -> str:
    nodes = ["".join(f"{operations.get(f'op_{i}_{j}')}~{j}|" for j in range(i)) for i in range(1, N_NODES)]
    return "+".join(f"|{node}" for node in nodes)


def relu_conv_norm(n_in: int, n_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution without bias, batch norm: the benchmark's ``nor_conv``."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(n_out))


def make_operation(name: str, n: int) -> nn.Module:
    """Return the module of an operation other than ``none`` on ``n`` channels."""
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_norm(n, n, {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name])


class Cell(nn.Module):
    """One cell.

    Args:
        operations: Names of the operations in the order of ``EDGES``.
        n: Channels.
    """

    def __init__(self, operations: tuple[str, ...], n: int) -> None:
        super().__init__()
        self.operations = nn.ModuleDict()
        self.inputs: tuple[list[int], ...] = tuple([] for _ in range(N_NODES))
        for (i, j), name, is_used in zip(EDGES, operations, leads_to_output(operations), strict=True):
            if name != "none":
                self.operations[f"{i}_{j}"] = make_operation(name, n)
                if is_used:
                    self.inputs[i].append(j)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return node 3 for node 0, both (n, channels, height, width)."""
        if x.device.type == "cpu":  # where pooling takes a third of the time this way round; convolutions keep it
            x = x.contiguous(memory_format=torch.channels_last)
        nodes = [x]
        for i in range(1, N_NODES):
            terms = [self.operations[f"{i}_{j}"](nodes[j]) for j in self.inputs[i]]
            nodes.append(sum(terms[1:], terms[0]) if terms else torch.zeros_like(x))
        return nodes[-1]


class ReductionBlock(nn.Module):
    """Residual block between stages: two 3×3 convolutions, the first of stride 2; the shortcut averages 2×2 pixels.

    Args:
        n_in: Channels of the input.
        n_out: Channels of the output.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(relu_conv_norm(n_in, n_out, 3, stride=2), relu_conv_norm(n_out, n_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(n_in, n_out, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_out, height / 2, width / 2) for ``x`` (n, n_in, height, width)."""
        return self.shortcut(x) + self.body(x)
