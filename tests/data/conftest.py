"""A small folder of pictures, and a cache of its own."""

from __future__ import annotations

import pytest

from nas_sens.data.cache_folder import VARIABLE
from tests.picture_folder import make_folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache that nothing is in yet."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own cache"))
    return tmp_path / "own cache"
