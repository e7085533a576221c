"""Examples in docstrings are run, all of them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import nas_sens

FINDER = doctest.DocTestFinder(exclude_empty=True)


def examples() -> list[doctest.DocTest]:
    modules = [importlib.import_module(i.name) for i in pkgutil.walk_packages(nas_sens.__path__, "nas_sens.")
               if not i.name.endswith("__main__")]  # fmt: skip
    found = [test for module in modules for test in FINDER.find(module) if test.examples]
    return sorted(found, key=lambda test: test.name)


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_example(example: doctest.DocTest) -> None:
    result = doctest.DocTestRunner().run(example)
    assert result.attempted > 0
    assert result.failed == 0, "its output is above"


def test_public_functions_of_networks_have_one() -> None:
    names = {test.name for test in examples()}
    assert {"nas_sens.metrics.output_sensitivity.output_sensitivity"} < names
