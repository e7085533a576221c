"""The report of a study: statistics, sentences and figures, on one HTML page."""

from .page import render_report, write_report

__all__ = ["render_report", "write_report"]
