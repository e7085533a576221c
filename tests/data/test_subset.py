"""Parts of a training set that hold its classes in proportion, and training on them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import nas_sens as ns
from nas_sens.core.identity import make_generator
from nas_sens.data.subset import stratified_order
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.label_noise import noisy_labels

FC = ns.FCSpec(depth=1, width=8, init="he_normal")


def slow_order(y, generator):
    """Return the order, by dealing every class out evenly over (0, 1), one sample at a time."""
    shuffled = torch.randperm(len(y), generator=generator).tolist()
    places = []
    for row in shuffled:
        members = [r for r in shuffled if y[r] == y[row]]
        places.append((members.index(row) + 0.5) / len(members))
    return [row for _, row in sorted(zip(places, shuffled, strict=True), key=lambda pair: pair[0])]


@pytest.mark.parametrize("sizes", [(9, 9, 9), (20, 5, 1), (0, 7, 2)])
def test_the_order_is_that_of_a_loop_and_every_beginning_is_stratified(sizes):
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(sizes)])
    order = stratified_order(y, generator=torch.Generator().manual_seed(3))
    assert order.tolist() == slow_order(y.tolist(), torch.Generator().manual_seed(3))
    assert sorted(order.tolist()) == list(range(len(y)))
    for n in range(len(y) + 1):
        counts = torch.bincount(y[order[:n]], minlength=3)
        if sizes == (9, 9, 9):
            assert int(counts.max() - counts.min()) <= 1
        assert all(abs(float(c) - n * s / len(y)) <= 1.5 for c, s in zip(counts, sizes, strict=True))


def test_targets_of_a_regression_are_only_shuffled():
    order = stratified_order(torch.zeros(6, 1), generator=torch.Generator().manual_seed(0))
    assert order.tolist() == torch.randperm(6, generator=torch.Generator().manual_seed(0)).tolist()


def test_a_training_on_some_samples_is_one_on_such_a_training_set(digits):
    spec = TrainSpec(epochs=3, batch_size=16, label_noise=0.5, metrics=("grad_norm",), metrics_on="train")
    some = train(FC, digits, dataclasses.replace(spec, samples=40), seed=2)
    rows = slow_order(digits.y_train.tolist(), make_generator("samples", 2))[:40]
    alone = dataclasses.replace(digits, x_train=digits.x_train[rows], y_train=digits.y_train[rows])
    twin = train(FC, alone, spec, seed=2)
    assert some.curves == twin.curves
    assert (some.train_loss, some.measures) == (twin.train_loss, twin.measures)
    assert all(torch.equal(some.state[k], twin.state[k]) for k in some.state)
    # Labels are swapped among the samples that are trained on.
    noisy = noisy_labels(alone.y_train, share=0.5, n_classes=10, generator=make_generator("label noise", 2))
    assert int((noisy != alone.y_train).sum()) == 20
    assert train(FC, digits, dataclasses.replace(spec, samples=200), seed=2).status == "ok"


def test_the_number_of_samples_can_be_searched_and_is_stored(tmp_path):
    space = ns.SearchSpace(
        name="n", families={"fc": {"depth": 1, "width": 4}}, training={"samples": [20, 40], "batch_size": 20}
    )
    spec = ns.StudySpec(
        name="n",
        search_space=space,
        data=ns.DataSpec(name="digits", train_samples=60),
        score=ns.ScoreSpec(n_inputs=16, seeds=2),
        search=ns.SearchSpec(sampler="enumerate", n_candidates=2),
        select=ns.SelectSpec(rule="random", top_k=2, control=0),
        train=TrainSpec(epochs=2, seeds=1),
    )
    found = ns.search(spec, storage=f"sqlite:///{tmp_path}/a.db").trials
    assert sorted(t.training["samples"] for t in found) == [20, 40]
    assert len({t.train_loss for t in found}) == 2
