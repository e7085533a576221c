"""Texts of others, such as names in a database, made harmless where they are shown."""

from __future__ import annotations

import re
import unicodedata

# Control characters, which a terminal obeys; format characters, which hide text or turn its direction; halves of
# surrogates, which cannot be encoded; and what ends a line.
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
# What Markdown takes for more than a character; an underscore within a word is none.
_MARKUP = r"[!#$&*+:<>@[-^`{-~]|(?<![^\W_])_|_(?![^\W_])|\.(?!\d)"


def printable(text: str) -> str:
    r"""Return a text in one line that no terminal obeys: what would act is shown as an escape, a newline as ``\n``."""
    if text.isprintable():  # nearly all, and fast
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _ACTING else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def markdown_text(text: str) -> str:
    """Return Markdown that shows a text as it stands, in one line: neither markup nor HTML, links or formulas."""
    return re.sub(_MARKUP, lambda m: f"&#{ord(m[0])};", printable(text))


def markdown_code(text: str) -> str:
    """Return Markdown that shows a text as code, in one line."""
    text = printable(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}"


def without_roles(text: str) -> str:
    """Return a docstring's text as it is read by people: ``code`` in single quotes, references by their last name."""
    text = re.sub(r":\w+:`(?:~[\w.]*\.)?([^`~]+)`", r"`\1`", text)
    return text.replace("``", "`")
