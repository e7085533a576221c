"""A Google Cloud Storage of the tests: gcp-storage-emulator, as a process of its own, with one bucket."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.storage.loopback import free_port, start_listening

BUCKET = "networks"
_NEEDED = (("gcp_storage_emulator", "nas-sens[dev]"), ("google.cloud.storage", "nas-sens[gcs]"))


@contextmanager
def gcs_server() -> Iterator[str]:
    """Yield the URL of a server that runs meanwhile."""
    for module, package in _NEEDED:
        pytest.importorskip(module, reason=f"no {module} (pip install {package})")
    port = free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    process = start_listening([*command, "--in-memory", f"--default-bucket={BUCKET}"], port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
