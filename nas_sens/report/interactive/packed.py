"""Bokeh's script and its figures as text for a page: compressed, and the same for the same figures."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from bokeh.embed import json_item
from bokeh.util.paths import static_path


@cache
def library() -> str:
    """Return Bokeh's script without what is not needed here (widgets, tables, WebGL), packed by :func:`pack`."""
    return pack((static_path() / "js" / "bokeh.min.js").read_text(encoding="utf-8"))


def packed_plots(plots: Mapping[str, Any]) -> str:
    """Return Bokeh's figures by name, packed by :func:`pack`."""
    text = json.dumps({name: json_item(plot) for name, plot in plots.items()}, separators=(",", ":"))
    return pack(_numbered_anew(text))


def pack(text: str) -> str:
    """Return a text compressed by gzip, in base64, which a browser undoes by itself (DecompressionStream)."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def _numbered_anew(text: str) -> str:
    """Return figures in JSON with identifiers that do not depend on how many were made before in this process.

    Identifiers follow the key "id" or "root_id"; in a text of the user's the quotes would have backslashes.
    """
    ids: dict[str, str] = {}
    return re.sub(
        r'"((?:root_)?id)":"(p\d+)"',
        lambda found: f'"{found[1]}":"{ids.setdefault(found[2], f"p{1000 + len(ids)}")}"',
        text,
    )
