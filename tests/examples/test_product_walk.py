"""The lines of the page on products, as they stand, on pictures of the test's own; only trainings are shorter."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from nas_sens.cli.main import cli

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "from_pictures_to_product.md"


def draw(path: Path, label: int, rng: np.random.Generator) -> None:
    """Write a picture that is brighter above or below, of some size."""
    height, width = rng.integers(20, 60, 2)
    slope = np.linspace(60, 200, height)[:: 1 if label else -1]
    pixels = slope[:, None, None] + rng.normal(0, 25, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=95)


def typed(page: str) -> list[str]:
    (lines,) = re.findall(r"```sh\n(nas-sens search photos.*?)```", page, flags=re.DOTALL)
    return lines.strip().splitlines()


def test_the_page_says_what_help_says() -> None:
    """Lines are understood as they are typed, headings have the words of the usage line, and options are there."""
    page = PAGE.read_text(encoding="utf-8")
    group = click.Context(cli)
    for line in typed(page):
        name, *words = shlex.split(line.partition(" > ")[0])[1:]
        command = cli.get_command(group, name)
        assert command is not None
        command.make_context(name, words)
    sections = re.findall(r"^## `(\w+) ([^`]+)`[^\n]*\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    assert [name for name, *_ in sections] == ["refine", "export", "predict"]
    for name, words, text in sections:
        command = cli.get_command(group, name)
        assert command is not None
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        assert set(re.findall(r"(?<!-o )\b[A-Z]+\b", words)) <= set(re.findall(r"\b[A-Z]+\b", usage))
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"`(--?[a-z][a-z0-9-]*)", text)) | set(re.findall(r"-\w\b", words)) <= known


@pytest.mark.slow
def test_the_walk_from_pictures_to_predictions(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rng = np.random.default_rng(0)
    for i in range(120):
        draw(tmp_path / "photos" / ("above", "below")[i % 2] / f"{i}.jpg", i % 2, rng)
    for i in range(10):
        draw(tmp_path / "inbox" / f"{i}_{('above', 'below')[i % 2]}.jpg", i % 2, rng)
    draw(tmp_path / "new.jpg", 1, rng)
    page = PAGE.read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml title=\"photos.toml\"\n(.*?)```", page, flags=re.DOTALL)
    small = "\n[search]\nn_candidates = 8\n[select]\ntop_k = 3\ncontrol = 1\n[train]\nseeds = 1\nepochs = 4"
    (tmp_path / "photos.toml").write_text(toml.replace("\n[train]\nepochs = 20", small))
    shown = ""
    for line in typed(page):
        command = line.replace("--epochs 60", "--epochs 8").replace("nas-sens", f"{sys.executable} -m nas_sens", 1)
        run = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        shown += run.stdout + run.stderr
    assert "What remains: the best of these 3" in shown
    assert "in 8 bits: validation error" in shown
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    right = [row["prediction"] in row["source"] for row in rows]
    assert np.mean(right) >= 0.9  # the classes are easy to tell
