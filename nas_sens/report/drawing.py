"""The drawing of a network: its parts in the order in which an input meets them, repeats folded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..core.compact import compact

MOST_BLOCKS = 14  # fit the first screen
_LONGEST_REPEAT = 40  # parts
# What is written beside the part before it, as it only changes its values, and what is not written.
_BESIDE = (
    *(
        "ReLU",
        "ReLU6",
        "SiLU",
        "GELU",
        "Tanh",
        "Sigmoid",
        "Hardswish",
        "Hardsigmoid",
        "HardSigmoid",
        "LeakyReLU",
        "ELU",
    ),
    *("BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "BatchNormAct2d", "Hardtanh", "Softmax"),
)
_LEFT_OUT = ("Identity", "Flatten", "Dropout")
_SHORT = {"BatchNorm1d": "BN", "BatchNorm2d": "BN", "BatchNormAct2d": "BN", "LayerNorm": "LN", "GroupNorm": "GN"}
_SHORT["HardSigmoid"] = "Hardsigmoid"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of the drawing.

    Attributes:
        kind: What it is, with what is beside it.
        shape: Of its output, such as ``16×14×14``.
        params: Its parameters.
        times: How often it comes, one after the other.
        n_layers: Of how many layers it is one.
    """

    kind: str
    shape: str
    params: int
    times: int = 1
    n_layers: int = 1

    @property
    def params_text(self) -> str:
        """Its parameters all together, as they are printed; "" for none."""
        return compact(self.params * self.times) if self.params else ""


def blocks(parts: Iterable[Sequence[object]]) -> list[Block]:
    """Return the blocks of a drawing, at most ``MOST_BLOCKS``.

    Args:
        parts: Kind, shape and number of parameters of each part, as ``architectures.outline`` gives them.
    """
    found: list[Block] = []
    for kind, sides, n_params in parts:
        name, n, shape = str(kind), int(str(n_params)), "×".join(map(str, sides if isinstance(sides, list) else []))
        if name in _LEFT_OUT:
            continue
        if name in _BESIDE and found:
            last = found[-1]
            found[-1] = replace(last, kind=f"{last.kind} + {_SHORT.get(name, name)}", params=last.params + n)
        else:
            found.append(Block(kind=_SHORT.get(name, name), shape=shape, params=n))
    return _shortened(_folded(found))


def _folded(found: list[Block]) -> list[Block]:
    """Return blocks of which runs of equal ones, then of equal sequences, are one."""
    for length in range(1, _LONGEST_REPEAT + 1):
        if length > 1 and len(found) <= MOST_BLOCKS:
            break
        folded: list[Block] = []
        i = 0
        while i < len(found):
            unit, times = found[i : i + length], 1
            while len(unit) == length and _same(found[i + times * length : i + (times + 1) * length], unit):
                times += 1
            if times > 1:
                folded.append(replace(_joined(unit), times=times * (unit[0].times if length == 1 else 1)))
                i += times * length
            else:
                folded.append(found[i])
                i += 1
        found = folded
    return found


def _same(a: Sequence[Block], b: Sequence[Block]) -> bool:
    """Return whether sequences are of the same kinds and shapes behind them."""
    return [(x.kind, x.shape, x.params, x.times) for x in a] == [(x.kind, x.shape, x.params, x.times) for x in b]


def _joined(unit: Sequence[Block]) -> Block:
    if len(unit) == 1:
        return unit[0]
    kinds = [block.kind if block.times == 1 else f"{block.times} × {block.kind}" for block in unit]
    return Block(
        kind=", ".join(kinds) if len(kinds) <= 3 else f"{kinds[0]}, …, {kinds[-1]}",
        shape=unit[-1].shape,
        params=sum(block.params * block.times for block in unit),
        n_layers=sum(block.n_layers * block.times for block in unit),
    )


def _shortened(found: list[Block]) -> list[Block]:
    """Return at most so many blocks as fit: those in the middle together."""
    if len(found) <= MOST_BLOCKS:
        return found
    head = math.ceil(MOST_BLOCKS / 2)
    tail = MOST_BLOCKS - head - 1
    middle = _joined(found[head:-tail])
    return [*found[:head], replace(middle, kind=f"… {middle.n_layers} layers …"), *found[-tail:]]
