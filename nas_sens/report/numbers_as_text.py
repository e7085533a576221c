"""Numbers as the report writes them: few digits, proper minus signs, a dash for what is missing."""

from __future__ import annotations

import math

from ..statistics.interval import Interval

MISSING = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, such as ``0.4512`` or ``3.551×10⁴``; a dash for none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}".replace("-", "−") if abs(value) < 10**digits else f"{value:.0f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}×{power}".replace("-", "−")


def count(value: int | None) -> str:
    """Return a whole number with thin spaces between thousands; a dash for none."""
    return MISSING if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, such as ``+0.61`` or ``−0.20``; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def plain(value: float | None, digits: int = 2) -> str:
    """Return a number with ``digits`` decimals and a proper minus sign, never a negative zero; a dash for none."""
    return MISSING if value is None else signed(value, digits).lstrip("+")


def interval_text(interval: Interval, scale: float = 1.0, digits: int = 2) -> str:
    """Return ``+0.61 [+0.12, +0.88]``, every number times ``scale``."""
    estimate, low, high = (signed(v * scale, digits) for v in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def signed_number(value: float, digits: int = 3) -> str:
    """Return a number of any size with its sign, such as ``+0.00123``; zero has none."""
    return f"+{number(value, digits)}" if value > 0 else number(value + 0.0, digits)  # never a negative zero


def number_interval_text(interval: Interval) -> str:
    """Return ``+0.0312 [−0.0101, +0.0525]`` of numbers of any size."""
    estimate, low, high = map(signed_number, (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def percent(fraction: float | None, sd: float | None = None) -> str:
    """Return a fraction as ``12.30 %`` or, with a standard deviation, ``12.30 ± 0.40 %``; a dash for none."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    if abs(fraction) >= 10:  # a regression can be far worse than the mean
        return with_spread(number(100 * fraction), number(None if sd is None else 100 * sd, 2)) + "\N{NO-BREAK SPACE}%"
    spread = "" if sd is None or not math.isfinite(sd) else f" ± {100 * sd:.2f}"
    return f"{100 * fraction:.2f}{spread}\N{NO-BREAK SPACE}%"


def with_spread(value: str, spread: str) -> str:
    """Return ``value ± spread``, or only the value where the spread is missing."""
    return value if MISSING in (value, spread) else f"{value} ± {spread}"


def p_text(p_value: float) -> str:
    """Return a p-value with two significant digits, never as zero."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"
