"""Whether the installed Optuna has the tables that `bulk_write` and `bulk_read` were written for."""

from __future__ import annotations

from optuna.storages._rdb import models

_SCHEMA_VERSION = 12  # of Optuna 3.0 to 5.0


def is_known_schema() -> bool:
    """Return whether Optuna's tables may be written and read directly."""
    return int(models.SCHEMA_VERSION) == _SCHEMA_VERSION
