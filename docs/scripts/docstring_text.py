"""Docstrings as Markdown: roles of Sphinx become code, and asterisks of signatures stay asterisks."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`")
_STARRED = re.compile(r"(?<![`\w*])\*(?=\w+[,)])")  # (n, *input_shape), which would open an emphasis


def plain(text: str) -> str:
    """Return a docstring, or a part of one, as Markdown."""
    return _STARRED.sub(r"\\*", _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text))


def arguments(docstring: str | None) -> dict[str, str]:
    """Return what the section "Args" or "Attributes" of a docstring says of each name, in one line."""
    sections = griffe.Docstring(docstring or "").parse("google", warnings=False)
    kinds = (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes)
    found = [item for section in sections if section.kind in kinds for item in section.value]
    return {item.name: plain(" ".join(item.description.split())) for item in found}


def without_sections(docstring: str | None) -> str:
    """Return what stands before the sections of a docstring, such as "Args"."""
    sections = griffe.Docstring(docstring or "").parse("google", warnings=False)
    texts = [s.value for s in sections if s.kind is griffe.DocstringSectionKind.text]
    return plain("\n\n".join(texts))


class MarkdownDocstrings(griffe.Extension):
    """Rewrites the docstrings that mkdocstrings reads."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite that of one object."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)
