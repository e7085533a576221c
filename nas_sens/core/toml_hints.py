"""The way out of mistakes that many make in TOML, by the line that cannot be read."""

from __future__ import annotations

import re

_KEY = r"\s*[\w.\"'-]+\s*"
# Looked for in this order; the first one that is found is told.
_HINTS = (
    (r".*[\u00a0\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]", "it holds a space or a sign that is not "
     "seen and not ASCII, as web pages have them; type the line anew"),
    (r".*[\u2018-\u201f\u00ab\u00bb]", "it has typographic quotes; write \" or '"),
    (r".*[\u2010-\u2015\u2212]", "it has a dash that is no minus; write -"),
    (r"\s*//|[^:]*\s//\s", "a comment begins with #"),
    (rf"{_KEY}:", "write KEY = VALUE, not KEY: VALUE"),
    (rf"{_KEY}==", "write one ="),
    (rf"{_KEY}=\s*(?:True|TRUE|False|FALSE|yes|no|on|off)\b", "write true or false"),
    (rf"{_KEY}=\s*(?:None|null|NULL|nil|NaN)?\s*(?:#.*)?$", "to leave a value out, leave its line out"),
    (rf"{_KEY}=\s*\{{[^}}]*(?:,\s*\}}|$)", "a table in braces ends in its line, without a comma behind the last value"),
    (rf"{_KEY}=.*;\s*$", "a line ends without ;"),
    (rf"{_KEY}=\s*[+-]?0\d", "a number begins without 0"),
    (rf"{_KEY}=\s*[+-]?\d[\d_]*,\d", "write the decimal point as ."),
    (rf"{_KEY}=\s*[+-]?[\d.]+\s*%", "write a share as a number from 0 to 1"),
    (rf"{_KEY}=\s*[A-Za-z./~\\]", "text stands in quotes"),
)  # fmt: skip
_OF_REASONS = (
    ("Cannot overwrite a value", "it is there already; remove one of the two"),
    ("Cannot declare", "this table is there already; put all its keys under one heading"),
)


def hint_of(reason: str, line: str) -> str:
    """Return what to do about a line that is no TOML; "" if nothing is known.

    Args:
        reason: What the parser says.
        line: The line.
    """
    if told := next((hint for text, hint in _OF_REASONS if reason.startswith(text)), None):
        return told
    return next((hint for pattern, hint in _HINTS if re.match(pattern, line)), "")
