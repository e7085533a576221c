"""What is found by name: by folder, by entry point, and registered in a process."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import optuna
import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import nn

import nas_sens as ns
from nas_sens.architectures import FAMILIES
from nas_sens.architectures.base import SPEC_CONFIG, ArchitectureSpec, Count
from nas_sens.core.registry import Registry
from nas_sens.data import DATASETS, Dataset
from nas_sens.data.samples import LoadOptions, Samples, make_samples
from nas_sens.metrics import METRICS, Metric, metric_names
from nas_sens.recordings import RECORDINGS, Recording
from nas_sens.study.register import REGISTRIES
from nas_sens.study.sampler import SAMPLERS, Sampler


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class OneLayerSpec(ArchitectureSpec):
    """A linear layer behind another one."""

    family: ClassVar[str] = "one_layer"
    width: Count = 3

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return flatten, linear, linear."""
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(self.width), nn.Linear(self.width, n_outputs))


def load(options: LoadOptions) -> Samples:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    return make_samples(x, (x[:, 0] > 0).astype(np.int64), source="stripes")


def largest_weight(model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, **_: object) -> float:
    """Largest weight of a network."""
    return max(float(p.detach().abs().max()) for p in model.parameters())


STRIPES = Dataset(name="stripes", load=load, description="Two stripes")
LARGEST = Metric(function=largest_weight, direction="smaller", source="this test", cost="none")
SUMS = Recording(
    function=lambda model, recorded: {"sums": torch.ones(3)}, fields=("sums",), size=lambda n, _: 3, source="this test"
)
GRID = Sampler(name="my_random", make=lambda seed: optuna.samplers.RandomSampler(seed=seed), is_independent=True)


@pytest.fixture
def registered():
    """Register one thing of each kind, and forget them afterwards."""
    things = [(FAMILIES, OneLayerSpec, "one_layer"), (DATASETS, STRIPES, "stripes"), (METRICS, LARGEST, LARGEST.name)]
    things += [(RECORDINGS, SUMS, SUMS.name), (SAMPLERS, GRID, "my_random")]
    for _, thing, _ in things:
        assert ns.register(thing) is thing
    yield things
    for registry, _, name in things:
        registry.unregister(name)
        assert name not in registry.table()


def test_what_is_registered_is_found_as_what_is_bundled(registered, tmp_path: Path) -> None:
    for registry, thing, name in registered:
        assert registry.get(name) is thing
        assert list(registry.table()) == sorted(registry.table())
    terms = "smaller is expected to be better; costs none; this test"
    assert metric_names()["largest_weight"] == f"Largest weight of a network. [{terms}]"
    study = tmp_path / "mine.toml"
    study.write_text("""
        [search_space.fc]
        depth = 1
        width = { type = "int", low = 2, high = 9 }
        [data]
        name = "stripes"
        [score]
        n_inputs = 16
        metrics = ["largest_weight"]
        [search]
        sampler = "my_random"
        n_candidates = 3
        [select]
        rule = "random"
        top_k = 1
        control = 0
        [train]
        epochs = 1
        seeds = 1
    """)
    result = ns.search(study, storage=f"sqlite:///{tmp_path}/a.db")
    assert all(c.measures["largest_weight"] > 0 for c in result.candidates)
    assert result.best.val_loss is not None
    space = ns.SearchSpace(name="mine", families={"one_layer": {"width": {"type": "int", "low": 1, "high": 5}}})
    assert isinstance(space.sample(seed=0), OneLayerSpec)


def test_registering_again_replaces_and_bundled_names_are_taken(registered) -> None:
    again = Dataset(name="stripes", load=load, description="Other stripes")
    ns.register(again)  # as a cell of a notebook that is run twice
    assert DATASETS.get("stripes") is again
    with pytest.raises(ns.InvalidInputError, match="adds the data set 'digits', which exists already; rename it"):
        ns.register(Dataset(name="digits", load=load))
    assert DATASETS.get("digits").load is not load
    with pytest.raises(ns.InvalidInputError, match=r"an ArchitectureSpec with a family, a Dataset, .*given 3"):
        ns.register(3)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_an_unknown_name_is_told_with_the_nearest_one(registry: Registry[object]) -> None:
    name = next(iter(registry.table()))
    with pytest.raises(ns.InvalidInputError, match=rf"unknown {registry.kind} '{name}x'; did you mean '{name}'\?"):
        registry.get(f"{name}x")


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.kind)
def test_an_installed_package_adds_to_every_registry(registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = len(registry.table())
    (tmp_path / "theirs.py").write_text("from tests.core.test_registry import *\nBAD = 3\n")
    metadata = tmp_path / "theirs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    groups = {"families": "OneLayerSpec", "datasets": "STRIPES", "metrics": "LARGEST", "recordings": "SUMS"}
    groups["samplers"] = "GRID"
    name = groups[registry.group.removeprefix("nas_sens.")]
    monkeypatch.syspath_prepend(str(tmp_path))
    (metadata / "entry_points.txt").write_text(f"[{registry.group}]\nit = theirs:{name}\n")
    assert len(registry.found()) == bundled + 1
    (metadata / "entry_points.txt").write_text(f"[{registry.group}]\nit = theirs:BAD\n")
    with pytest.raises(ns.InvalidInputError, match=f"must name {registry.expected}; given 3"):
        registry.found()
