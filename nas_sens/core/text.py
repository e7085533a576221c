"""Texts of others, such as names in a database, made harmless where they are shown."""

from __future__ import annotations

import unicodedata

# Control characters, which a terminal obeys; format characters, which hide text or turn its direction; halves of
# surrogates, which cannot be encoded; and what ends a line.
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""Return a text in one line that no terminal obeys: what would act is shown as an escape, a newline as ``\n``."""
    if text.isprintable():  # nearly all, and fast
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _ACTING else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
