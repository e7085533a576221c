"""How large data may be."""

from __future__ import annotations

import os

import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.data.bounds import VARIABLE, check_size, max_bytes

GIB = 2**30


def test_half_of_the_memory_is_allowed_by_default(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < max_bytes() <= memory // 2
    check_size(1, "x")
    with pytest.raises(InvalidInputError, match=f"^x: takes .* GiB in memory, more than .* or raise {VARIABLE}$"):
        check_size(memory // 2 + 1, "x")


@pytest.mark.parametrize(("text", "gib"), [("2", 2), (" 0.5 ", 0.5), ("1e3", 1000), ("inf", float("inf"))])
def test_the_environment_sets_the_limit(monkeypatch, text, gib):
    monkeypatch.setenv(VARIABLE, text)
    assert max_bytes() == gib * GIB
    if gib < 10:
        check_size(int(gib * GIB), "x")
        with pytest.raises(InvalidInputError, match=f"more than the {gib} GiB that are allowed"):
            check_size(int(gib * GIB) + 1, "x")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "12 GiB", "much", "1" * 5000 + "x"])
def test_a_limit_that_is_no_positive_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InvalidInputError, match=f"{VARIABLE} must be a positive number") as caught:
        check_size(1, "x")
    assert len(str(caught.value)) < 300


def test_sizes_are_said_as_they_are(monkeypatch):
    monkeypatch.setenv(VARIABLE, "12")
    with pytest.raises(InvalidInputError, match=r"takes 37\.3 GiB in memory, more than the 12 GiB"):
        check_size(int(37.3 * GIB), "x")
    with pytest.raises(InvalidInputError, match=r"takes 40,000 GiB"):
        check_size(40_000 * GIB, "x")
    with pytest.raises(InvalidInputError, match=r"takes more than a million GiB in memory, more than the 12 GiB"):
        check_size(10**400, "x")
