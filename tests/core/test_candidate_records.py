"""Records of candidates."""

from __future__ import annotations

from nas_sens.core.candidates import family_of
from nas_sens.core.identity import canonical_json


def test_the_family_is_found_without_reading_the_rest():
    for values in ({"depth": 1, "family": "fc"}, {"family": "timm", "arguments": '{"family":"no"},"family":"no"'}):
        assert family_of(canonical_json(values)) == values["family"]
    assert family_of('{ "family" : "own" }') == "own"
