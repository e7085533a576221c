"""The networks of NAS-Bench-Macro that a benchmark scores are the published ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from nas_sens.architectures import count_flops, count_params, family_of

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import macro_network

MACRO = family_of(macro_network.macro)


# Parameters and multiply-adds as the benchmark publishes them.
@pytest.mark.parametrize(
    ("blocks", "params", "products"),
    [("00000000", 387882, 7713280), ("00000001", 791594, 14115328), ("22222221", 2504810, 98865664)],
)
def test_sizes_are_those_of_the_benchmark(blocks: str, params: int, products: int) -> None:
    assert MACRO(blocks=blocks).size((3, 32, 32), 10) == (params, 2 * products)


@pytest.mark.parametrize("blocks", ["00000000", "21021102", "12012012"])
def test_sizes_are_those_that_are_counted(blocks: str) -> None:
    spec = MACRO(blocks=blocks, channels=2)
    network = spec.build((1, 9, 12), 3)
    assert spec.size((1, 9, 12), 3) == (count_params(network), count_flops(network, (1, 9, 12)))
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    n_layers = sum(isinstance(module, kinds) for module in network.modules())
    assert MACRO.structure(spec.to_dict()) == {"depth": n_layers - 1, "trainable_layers": n_layers}


def test_networks_of_one_canonical_code_are_the_same_function() -> None:
    assert len({MACRO(blocks=code).canonical for code in _codes()}) == 9 * 21 * 21
    for blocks, canonical in {"01001120": "01010120", "20012002": "20012020", "00102201": "00120210"}.items():
        spec = MACRO(blocks=blocks, channels=2, init="he_normal")
        assert spec.canonical.blocks == canonical
        networks = [s.build((1, 8, 8), 3, generator=torch.Generator().manual_seed(0)) for s in (spec, spec.canonical)]
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        first, second = (network.eval()(x) for network in networks)
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def _codes() -> list[str]:
    return [f"{a}{b}" for a in _words(2) for b in _words(6)]


def _words(n: int) -> list[str]:
    return [""] if n == 0 else [word + digit for word in _words(n - 1) for digit in "012"]
