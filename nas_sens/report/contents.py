"""The page's list of contents, and the line that says when and where a study was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.candidates import TrainedCandidate
from ..storage.attribute_types import LAST_RUN

# Where links of the page lead: id of a section, title, and what of the page must be there for it.
_SECTIONS = (
    ("tradeoff", "The trade-off", "trade_off"),
    ("winners", "Best networks", ""),
    ("summary", "In words", ""),
    ("declared", "Figures of this study", "declared_panels"),
    ("searched", "What was searched", "searched"),
    ("mistakes", "What is taken for what", "mistakes"),
    ("outcomes", "S and size against outcomes", ""),
    ("candidates", "All candidates", ""),
    ("training", "Training", ""),
    ("after", "S after training", "after_panels"),
    ("expected", "What the rule expected", "rule_prediction"),
    ("correlations", "Correlations", ""),
    ("beside", "Beside parameters", ""),
    ("equal_size", "At equal size", ""),
    ("control", "Selected against control", ""),
    ("reliability", "Other seeds", ""),
    ("excluded", "Never ranked", ""),
    ("reading", "How to read this", ""),
    ("protocol", "Protocol", ""),
)


def contents(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the id and title of each section that a page has."""
    return [(id_, title) for id_, title, needed in _SECTIONS if not needed or page[needed]]


def ran_text(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]) -> str:
    """Return when and where a study was trained, and with how many seeds, as far as it is known."""
    kept = protocol.get(LAST_RUN)
    last: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
    n_seeds = sorted({t.n_seeds for t in trained if t.is_ok})
    search = protocol.get("search")
    seed = search.get("seed") if isinstance(search, Mapping) else None
    parts = (
        str(last.get("finished", "")),
        str(last.get("device", "")),
        str(last.get("machine", "")),
        f"nas_sens {last['version']}" if last.get("version") else "nas_sens",
        "" if seed is None else f"search seed {seed}",
        f"{'–'.join(map(str, n_seeds))} training seed{'' if n_seeds == [1] else 's'} each" if n_seeds else "",
    )
    return " · ".join(part for part in parts if part)
