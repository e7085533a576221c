"""Identity of values: canonical JSON, its digest, and random streams derived from it.

Nothing here depends on Python's ``hash()``, whose seed changes from process to process, so digests and random streams
are the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a JSON-like value: sorted keys, no spaces.

    Args:
        value: Nested dicts, lists, strings, booleans, None and finite numbers.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def derive_seed(*key: str | int) -> int:
    """Return a 63-bit seed that depends on every part of ``key``; one key per purpose gives independent streams."""
    return int.from_bytes(hashlib.sha256(canonical_json(list(key)).encode()).digest()[:8], "big") >> 1


def make_generator(*key: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator on ``device`` seeded from ``key`` (see :func:`derive_seed`)."""
    import torch  # digests are wanted by commands that need no PyTorch, which takes seconds to import

    return torch.Generator(device=device).manual_seed(derive_seed(*key))
