"""An S3 server of the tests: moto's, as a process of its own on a free port of this machine, with one bucket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.storage.loopback import free_port, start_listening

BUCKET = "networks"
# The bucket is there before the server listens, so that after a restart nobody is told that it is missing.
_SERVER = f"""
import sys
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket({BUCKET!r}, "us-east-1")
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


class S3Server:
    """A server that can be stopped and started again; what it kept is gone then."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = start_listening([sys.executable, "-c", _SERVER, str(self.port)], self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def environment(self) -> dict[str, str]:
        """What AWS's own library reads, and nothing of this machine's."""
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.url, **keys, **NO_AWS}

    def objects(self) -> list[str]:
        """Names of all objects in the bucket."""
        import boto3

        found = boto3.client("s3", endpoint_url=self.url).list_objects_v2(Bucket=BUCKET)
        return [o["Key"] for o in found.get("Contents", [])]


NO_AWS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Yield a server that runs meanwhile."""
    pytest.importorskip("moto", reason="no moto (pip install nas-sens[dev])")
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
