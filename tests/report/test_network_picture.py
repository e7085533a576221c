"""The picture of one trained network: a well-formed SVG with its blocks and both curves."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.report.network_picture import network_picture

PARTS = [["Linear", [24], 1560], ["ReLU", [24], 0], ["Linear", [10], 250]]
RECORD = TrainedCandidate(
    digest="a",
    architecture=json.dumps({"depth": 1, "family": "fc", "width": 24}, separators=(",", ":")),
    params=1810,
    flops=3600,
    candidate=0,
    chosen_by="random",
    curve=(1.0, 0.5, 0.25),
    curve_epochs=(1, 2, 3),
    curves={"train_loss": (0.9, 0.4, 0.1)},
)


def texts(svg: str) -> list[str]:
    return [t.text or "" for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_it_shows_blocks_with_their_shapes_and_both_curves_on_one_scale() -> None:
    svg = network_picture(RECORD, PARTS)
    found = texts(svg)
    for text in ("fc depth=1 width=24", "Linear + ReLU", "24", "10", "3 epochs", "validation loss 0.25 after epoch 3"):
        assert text in found
    lines = ET.fromstring(svg).findall(".//{http://www.w3.org/2000/svg}polyline")
    heights = [[float(p.split(",")[1]) for p in line.attrib["points"].split()] for line in lines]
    assert [len(h) for h in heights] == [3, 3]
    assert all(h == sorted(h) for h in heights), "a loss that falls goes down, which is to larger numbers"
    assert min(heights[0]) < min(heights[1]) < max(heights[0]) < max(heights[1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"curve": (), "curves": {}, "curve_epochs": ()}, "no curve was reported"),
        ({"curve": (0.5,), "curves": {}, "curve_epochs": ()}, "1 epochs"),
        ({"curve": (0.5, math.nan, 0.5)}, "3 epochs"),
        ({"curve_of": "<own>", "curves": {}, "curve_epochs": ()}, "<own> 0.25 after epoch 3"),
    ],
)
def test_strange_curves_make_a_well_formed_picture(change: dict[str, object], says: str) -> None:
    svg = network_picture(replace(RECORD, **change), [])  # type: ignore[arg-type]
    assert says in texts(svg)
    assert "nan" not in svg
