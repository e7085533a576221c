"""HTML from the templates of the report: the page, and parts that can be put into it as they are."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def part_of_page(template: str, **values: Any) -> str:
    """Return HTML in which all texts are escaped.

    Args:
        template: Name of a template of the report.
        **values: What it shows.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("nas_sens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
