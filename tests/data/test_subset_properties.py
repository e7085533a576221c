"""Subsets of whatever labels: permutations whose beginnings hold all classes in proportion, one inside the other."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec
from nas_sens.data.samples import make_samples
from nas_sens.data.splits import split
from nas_sens.data.subset import part_of, stratified_order

SEEDS = st.integers(0, 999)
SIZES = st.lists(st.integers(1, 25), min_size=1, max_size=6)  # of each class


def labels(sizes, seed=0):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return torch.from_numpy(y)


def off_by(counts, sizes):
    """Return by how much every class (K,) of a part, or of parts (n, K), misses its share of it, and how much it may.

    A class is dealt out evenly: up to the place t, from 0 to 1, it has t · n_c to within a half. All of the K classes
    together may then be K / 2 off n, of which a class bears its share.
    """
    share = torch.as_tensor(sizes) / sum(sizes)
    return (counts - counts.sum(dim=-1, keepdim=True) * share).abs(), 0.5 + len(share) / 2 * share + 1e-5


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@given(SIZES, SEEDS)
@example([30, 1, 1, 1, 1, 1, 1], 0)
def test_every_beginning_of_the_order_has_the_classes_in_proportion(sizes, seed):
    y = labels(sizes, seed)
    order = stratified_order(y, generator=seeded(seed))
    assert sorted(order.tolist()) == list(range(len(y)))
    counts = torch.nn.functional.one_hot(y[order], len(sizes)).cumsum(dim=0)
    off, bound = off_by(counts, sizes)
    assert (off <= bound).all()
    if len(set(sizes)) == 1:
        assert int((counts.amax(dim=1) - counts.amin(dim=1)).max()) <= 1


@given(SIZES, SEEDS)
def test_fewer_are_a_part_of_more_and_inputs_keep_their_labels(sizes, seed):
    y = labels(sizes, seed)
    x = torch.arange(len(y))[:, None].float()
    before: list[float] = []
    for n in range(1, len(y) + 2):
        part, of_part = part_of(x, y, n, generator=seeded(seed))
        rows = part.flatten().tolist()
        assert len(rows) == len(set(rows)) == min(n, len(y))
        assert torch.equal(of_part, y[part.flatten().long()])
        assert set(before) <= set(rows)
        before = rows


def parts(samples, **options):
    """Return the rows of every part; the first feature of a sample is its row."""
    found = split(samples, DataSpec(name="mine", **options))
    names = ("train", "val", "test")
    for name in names:
        rows = getattr(found, f"x_{name}")[:, 0].long()
        assert torch.equal(getattr(found, f"y_{name}"), samples.y[rows])
    return {name: getattr(found, f"x_{name}")[:, 0].long().tolist() for name in names}


def one_line_or(make, text):
    """Return what is made; None where it is refused in one line that has ``text``."""
    try:
        return make()
    except InvalidInputError as error:
        message = str(error)
    assert text in message
    assert "\n" not in message
    return None


def numbered(y):
    x = np.stack([np.arange(len(y)), np.zeros(len(y))], axis=1)
    return make_samples(x, y.numpy(), source="mine")


FRACTIONS = st.sampled_from([0.1, 0.25, 0.5])


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), FRACTIONS, FRACTIONS, SEEDS)
def test_a_split_is_disjoint_and_complete_or_refused_in_one_line(sizes, val_fraction, test_fraction, seed):
    samples = numbered(labels(sizes, seed))
    found = one_line_or(
        lambda: parts(samples, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed), "cannot be split"
    )
    if found is None:
        assert min(sizes) * min(val_fraction, test_fraction) < 2, "there was enough of every class"
        return
    assert sorted(row for rows in found.values() for row in rows) == list(range(sum(sizes)))
    for name, rows in found.items():
        counts = torch.bincount(samples.y[rows], minlength=len(sizes))
        share = len(rows) * torch.tensor(sizes) / sum(sizes)
        assert float((counts - share).abs().max()) < 2  # two splits, each to within one
        assert name != "train" or int(counts.min()) >= 1, "a class that is never learnt"


@given(st.lists(st.integers(10, 40), min_size=2, max_size=5), st.integers(1, 60), SEEDS)
@example([100, 10, 10, 10, 10, 10], 20, 0)
def test_parts_of_a_split_are_stratified_parts_of_the_whole_one(sizes, n, seed):
    samples = numbered(labels(sizes, seed))
    whole = parts(samples, seed=seed)
    some = parts(samples, seed=seed, val_samples=n, test_samples=n)
    assert some["train"] == whole["train"]
    for name in ("val", "test"):
        assert set(some[name]) <= set(whole[name])
        assert len(some[name]) == min(n, len(whole[name]))
        counts, of_whole = (torch.bincount(samples.y[rows[name]], minlength=len(sizes)) for rows in (some, whole))
        off, bound = off_by(counts, of_whole)
        assert (off <= bound).all()
    balanced = one_line_or(lambda: parts(samples, seed=seed, train_samples=n), "train_samples")
    if balanced is None:
        return
    assert (balanced["val"], balanced["test"]) == (whole["val"], whole["test"])
    assert set(balanced["train"]) <= set(whole["train"])
    counts = torch.bincount(samples.y[balanced["train"]], minlength=len(sizes))
    assert int(counts.sum()) == n
    assert int(counts.max() - counts.min()) <= 1
