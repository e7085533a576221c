"""What a study keeps of the last time it was trained: when, where, and what its best network is made of."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from typing import Any

from ..architectures import load_spec
from ..core.inputs import device_of
from ..results.search_result import read_result
from ..storage.attribute_types import LAST_RUN
from .picture_file import outline_of
from .session import Session


def keep_last_run(session: Session) -> None:
    """Keep it, unless nothing has been trained since."""
    name, storage = session.spec.name, session.storage
    result = read_result(storage, name)
    ok = [t for t in result.trials if t.is_ok]
    known = storage.attributes(name).get(LAST_RUN) or {}
    if not ok or known.get("n_trained") == len(result.trials):
        return
    kept: dict[str, Any] = {
        "n_trained": len(result.trials),
        "finished": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": str(device_of(session.probe.x)),
        "digest": ok[0].digest,
        "n_val": len(session.splits.y_val),
        "n_test": len(session.splits.y_test),
        "outline": outline_of(session, load_spec(ok[0].architecture)),
    }
    storage.create(name, {LAST_RUN: kept}, objective=session.spec.select.target)
