"""Registration with timm at the moment when timm is imported, so that importing nas_sens does not import timm.

``import nas_sens`` promises that ``timm.create_model("local-dir:…", pretrained=True)`` loads exports. Importing timm at
once would double the start-up time of every command, as it brings torchvision and torch._dynamo with it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType


def install() -> None:
    """Register with timm now if it is imported already, else as soon as it is."""
    if "timm" in sys.modules:
        _register()
    elif not any(isinstance(finder, _TimmFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmFinder())


def _register() -> None:
    importlib.import_module(f"{__package__}.timm_registry")


class _TimmFinder(importlib.abc.MetaPathFinder):
    """Finds timm once, by way of the other finders, and has nas_sens registered after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "timm":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("timm")
        if spec is not None and spec.loader is not None:
            spec.loader = _TimmLoader(spec.loader)
        return spec


class _TimmLoader(importlib.abc.Loader):
    """Loads timm as its own loader does, then registers."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register()
