"""The bundled studies: all can be loaded at both sizes, and one of each paper runs, shrunken, with its figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas_sens.core.declarations import bundled, changed
from nas_sens.core.toml_reader import read_toml
from nas_sens.data import DataSpec
from nas_sens.data.samples import Samples
from nas_sens.data.splits import split
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.search import search
from nas_sens.report import render_report
from nas_sens.report.declared.figures import declared_panels
from nas_sens.report.text import wording_of
from nas_sens.study.load import load_study
from nas_sens.training.trainable import check_trainable

STUDIES = bundled("studies")
PAPERS = ("forouzesh2020", "liao2019", "novak2018", "fort2019")
NEEDS_DATA = (
    *("forouzesh2020/published_points", "fort2019/fig8", "novak2018/fig4_augmentation", "novak2018/app8"),
    *("liao2019/fig2_cifar10", "liao2019/fig17", "liao2019/fig18"),
)


@pytest.mark.parametrize("name", STUDIES)
def test_studies_load_at_both_sizes_and_need_no_download(name):
    spec = load_study(name)
    assert spec.description
    assert spec.data.name in ("mnist5k", "digits", "boston_housing") or name in NEEDS_DATA
    if "full" in read_toml(STUDIES[name]):
        full = load_study(name, full=True)
        assert full.name == f"{spec.name}-full"
        assert full.select.top_k == full.search.n_candidates


FULL_SETS = {  # training samples of each class
    "cifar10": [5000] * 10,
    "cifar100": [500] * 100,
    "fashion_mnist": [6000] * 10,
    "mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
}


@pytest.mark.parametrize("name", [n for n in STUDIES if "full" in read_toml(STUDIES[n])])
def test_the_data_of_the_full_size_are_as_many_as_declared(name):
    spec = load_study(name, full=True)
    if spec.data.name == "boston_housing":
        return
    counts = torch.tensor(FULL_SETS[spec.data.name])
    y, y_test = torch.arange(len(counts)).repeat_interleave(counts), torch.arange(10_000) % len(counts)
    empty, of_test = torch.rand(len(y), 1, 4, 4), torch.rand(len(y_test), 1, 4, 4)
    splits = split(Samples(x=empty, y=y, n_outputs=len(counts), x_test=of_test, y_test=y_test), spec.data)
    assert len(splits.y_val) == spec.data.val_samples
    for values in spec.search_space.training_corners():
        check_trainable(changed(spec.train, where="training", **values), splits)


def test_names_of_studies_differ():
    names = [load_study(name).name for name in STUDIES]
    assert len({*names}) == len(names)


@pytest.mark.parametrize("name", [n for n in STUDIES if n.split("/")[0] in PAPERS and n not in NEEDS_DATA])
def test_studies_of_the_papers_train_their_whole_sample_and_declare_figures(name):
    spec = load_study(name)
    assert spec.select.rule == "random"
    assert spec.select.control == 0
    assert spec.select.top_k == spec.search.n_candidates
    assert spec.search_space.cardinality in (None, spec.search.n_candidates) or spec.search.sampler == "random"
    assert spec.figures


@pytest.mark.parametrize(
    ("name", "n_drawn"),
    [
        ("forouzesh2020/fig2b", 14),
        ("liao2019/fig5", 5),
        ("liao2019/fig16", 4),
        ("novak2018/fig5", 4),
        ("fort2019/fig3", 8),
    ],
)
def test_one_study_of_each_paper_runs_shrunken_with_its_figures(tmp_path, name, n_drawn):
    spec = declare(name, n_candidates=3, top_k=3)
    epochs = {"noisy_epochs": 1} if spec.train.noisy_epochs else {}
    epochs |= {"recording_epochs": (0, 1), "recording_inputs": 30} if spec.train.recordings else {}
    seeds = 2 if "bias_variance" in spec.train.recordings else 1  # a variance takes two
    fewer = {"seeds": seeds, "samples": None, "metrics_inputs": 20, "stop_train_error": None}
    train = changed(spec.train, where="train", epochs=2, **fewer, **epochs)
    figures = tuple(replace(f, max_train_error=None, epochs=()) for f in spec.figures)
    sizes = {"train_samples": 40, "val_samples": 40, "test_samples": 40}
    data = DataSpec(name="digits", standardize=spec.data.standardize, unit_norm=spec.data.unit_norm, **sizes)
    small = replace(spec, data=data, train=train, figures=figures, score=changed(spec.score, where="score", seeds=1))
    result = search(small, storage=f"sqlite:///{tmp_path}/s.db", device="cpu")
    assert {t.status for t in result.trials} == {"ok"}
    assert len(result.trials) == min(3, load_study(name).select.top_k)
    panels = declared_panels(result.protocol, result.trials, wording_of(result.protocol))
    assert len(panels) == n_drawn == sum(panel.svg is not None for panel in panels)
    if name == "fort2019/fig3":
        values = {"name": "x", "protocol": result.protocol, "candidates": result.candidates, "trained": result.trials}
        page = render_report(**values)
        section = page.split('<section id="declared">')[1].split("</section>")[0]
        assert section.count("<svg") == section.count("<figcaption>") == n_drawn
