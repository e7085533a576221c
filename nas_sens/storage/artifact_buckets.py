"""Buckets as artifact stores: S3, and what speaks its language, and Google Cloud Storage."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from optuna.artifacts.exceptions import ArtifactNotFound

from ..core.errors import InvalidInputError, first_line
from .artifact_patience import PATIENCE, Patience
from .artifact_stores import ArtifactStore, Refused, Unreachable

T = TypeVar("T")

_CONNECT_SECONDS = 10
_WORTH_ANOTHER_TRY = (408, 429)  # of the answers that say that the question was wrong
_SLOW = ("RequestTimeout", "OperationAborted")  # which S3 calls so, too
# Google's library itself tries again for two minutes.
_PATIENCE = {"s3": PATIENCE, "gs": Patience(max_retries=2, min_delay=5.0)}


class BucketStore:
    """A store of Optuna under a prefix of its bucket.

    Args:
        store: Optuna's store, whose identifiers are the names of objects in the bucket.
        prefix: What stands in front of identifiers, with a slash at its end; "" for nothing.
        where: How the place is called in messages.
        is_refusal: Whether an error will be the same at the next try.
    """

    def __init__(
        self, store: ArtifactStore, *, prefix: str, where: str, is_refusal: Callable[[Exception], bool]
    ) -> None:
        self._store, self._prefix, self._where, self._is_refusal = store, prefix, where, is_refusal

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return a whole artifact, in memory: a connection that breaks in its middle is found out here.

        Raises:
            ArtifactNotFound: There is none of that identifier.
        """

        def read() -> BinaryIO:
            with self._store.open_reader(self._prefix + artifact_id) as reader:
                return io.BytesIO(reader.read())

        return self._asked(read)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep a file under an identifier."""
        self._asked(lambda: self._store.write(self._prefix + artifact_id, content_body))

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact."""
        self._asked(lambda: self._store.remove(self._prefix + artifact_id))

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ArtifactNotFound as error:
            raise ArtifactNotFound(f"not in {self._where}") from error
        except Exception as error:  # of the service's library, which only its own module may import
            kind = Refused if self._is_refusal(error) else Unreachable
            raise kind(f"{self._where}: {first_line(error)}") from error


def open_bucket(scheme: str, bucket: str, prefix: str) -> BucketStore:
    """Return the store of artifacts under a prefix of a bucket; endpoint and credentials are the environment's.

    Args:
        scheme: ``s3`` or ``gs``.
        bucket: The bucket's name.
        prefix: What stands in front of identifiers; "" for nothing.

    Raises:
        InvalidInputError: The extra is not installed, or the environment says nothing of use.
    """
    where = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
    opener, package, extra = {"s3": (_s3, "boto3", "s3"), "gs": (_gcs, "google-cloud-storage", "gcs")}[scheme]
    try:
        store, is_refusal = opener(bucket)
    except ImportError as error:
        raise InvalidInputError(
            f"artifacts in {where} need the package {package}; install it with: pip install 'nas-sens[{extra}]'"
        ) from error
    except Exception as error:  # each library has its own
        raise InvalidInputError(
            f"artifacts cannot be kept in {where}: {first_line(error)}; {advice(scheme)}"
        ) from error
    return BucketStore(store, prefix=prefix and f"{prefix}/", where=where, is_refusal=is_refusal)


def patience_with(scheme: str) -> Patience:
    """Return for how long a service is tried again that does not answer."""
    return _PATIENCE[scheme]


def advice(scheme: str) -> str:
    """Return what to do where a bucket cannot be used."""
    if scheme == "s3":
        return (
            "give --artifacts a bucket that is there and that you may read, write and delete in, and set "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for another service than Amazon's, AWS_ENDPOINT_URL"
        )
    return (
        "give --artifacts a bucket that is there and that you may read, write and delete in, and set "
        "GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login"
    )


def _s3(bucket: str) -> tuple[ArtifactStore, Callable[[Exception], bool]]:
    import boto3
    from botocore import exceptions
    from botocore.config import Config
    from optuna.artifacts import Boto3ArtifactStore

    # `PatientStore` waits between tries; the library's own are for what goes wrong for a moment.
    config = Config(connect_timeout=_CONNECT_SECONDS, retries={"total_max_attempts": 2, "mode": "standard"})
    passing = (
        *(exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError),
        *(exceptions.ChecksumError, exceptions.CredentialRetrievalError, exceptions.MetadataRetrievalError),
    )

    def is_refusal(error: Exception) -> bool:
        if isinstance(error, exceptions.ClientError):
            answer = error.response
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            is_slow = answer.get("Error", {}).get("Code") in _SLOW
            return 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY and not is_slow
        return isinstance(error, exceptions.BotoCoreError) and not isinstance(error, passing)

    return Boto3ArtifactStore(bucket, client=boto3.client("s3", config=config)), is_refusal


def _gcs(bucket: str) -> tuple[ArtifactStore, Callable[[Exception], bool]]:
    from google.api_core.exceptions import ClientError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from optuna.artifacts import GCSArtifactStore
    from optuna.exceptions import ExperimentalWarning

    def is_refusal(error: Exception) -> bool:
        if isinstance(error, ClientError):
            return error.code not in _WORTH_ANOTHER_TRY
        return isinstance(error, GoogleAuthError) and not error.retryable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GCSArtifactStore(bucket, client=storage.Client()), is_refusal
