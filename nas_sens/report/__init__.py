"""The report of a study: statistics, sentences and figures, on one HTML page."""

from .answer import answer
from .page import render_report, write_report

__all__ = ["answer", "render_report", "write_report"]
