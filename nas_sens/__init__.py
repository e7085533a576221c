"""Neural architecture search by pre-training output sensitivity."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from .core import threads as _threads
from .models import timm_hook as _timm_hook

_threads.prefer_sleeping()  # before PyTorch is imported
_timm_hook.install()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Return a public name or a submodule when it is first asked for.

    PyTorch takes seconds to import, and commands that only read a database need none of it.

    Raises:
        AttributeError: There is neither.
    """
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    public = importlib.import_module(f"{__name__}.public")
    if name not in (*public.__all__, "__all__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(public, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module(f"{__name__}.public").__all__})
