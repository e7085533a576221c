"""One part of the page from a template of its own, which can be put into the page as it is."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def part_of_page(template: str, **values: Any) -> str:
    """Return HTML in which all texts are escaped.

    Args:
        template: Name of a template of the report.
        **values: What it shows.
    """
    environment = Environment(
        loader=PackageLoader("nas_sens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
