"""The object store on S3, or on anything that speaks its protocol with conditional PUT."""

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from s3transfer.exceptions import RetriesExceededError

from recflow.errors import BadConfiguration, PermanentError, RecflowError, StoreFull, StoreUnavailable

MAX_SINGLE_PUT_BYTES = 5 << 30
_TRANSFER = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=32 << 20, max_concurrency=4)
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_TAKEN = {"PreconditionFailed", "412"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}
_SLOW = {"RequestTimeout", "SlowDown", "ConditionalRequestConflict", "OperationAborted", "Throttling"}
_WRONG = {"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed", "301"}


class S3Store:
    """Objects below `s3://bucket/prefix`; credentials and region are the SDK's own business."""

    def __init__(self, uri: str, endpoint: str = "", *, attempts: int = 5) -> None:
        scheme, _, rest = uri.rstrip("/").partition("://")
        self._bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not self._bucket:
            raise BadConfiguration("the store's address cannot be read", expected="s3://bucket/prefix", seen=uri)
        self._root = uri.rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": attempts},
            request_checksum_calculation="when_supported",
            response_checksum_validation="when_supported",
        )
        self._client = boto3.client("s3", endpoint_url=endpoint or None, config=config)

    @property
    def root(self) -> str:
        """The s3:// URI that every key is below."""
        return self._root

    def put(self, key: str, data: bytes | Path, *, if_absent: bool = False) -> bool:
        """Store bytes or a file; see ObjectStore.

        A conditional put is always one request of at most 5 GiB, because not every server honours the condition when
        a multipart upload completes.
        """
        with self._translated(key):
            if isinstance(data, bytes):
                return self._put_one(key, data, if_absent)
            with data.open("rb") as stream:
                if if_absent:
                    _refuse_large(key, data.stat().st_size)
                    return self._put_one(key, stream, if_absent)
                self._client.upload_fileobj(stream, self._bucket, self._full(key), Config=_TRANSFER)
                return True

    def _put_one(self, key: str, body: Any, if_absent: bool) -> bool:
        bucket, name, writer = self._bucket, self._full(key), uuid.uuid4().hex
        if not if_absent:
            self._client.put_object(Bucket=bucket, Key=name, Body=body)
            return True
        try:
            self._client.put_object(Bucket=bucket, Key=name, Body=body, IfNoneMatch="*", Metadata={"writer": writer})
        except ClientError as error:
            if _code(error) not in _TAKEN:
                raise
            # The SDK tries again when an answer is lost; the second try then meets the first one's object.
            return self._client.head_object(Bucket=bucket, Key=name)["Metadata"].get("writer") == writer
        return True

    def get(self, key: str) -> bytes | None:
        """The whole object, None when it does not exist."""
        with self._translated(key):
            try:
                return bytes(self._client.get_object(Bucket=self._bucket, Key=self._full(key))["Body"].read())
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise

    def download(self, key: str, target: Path) -> bool:
        """Stream an object into a file, large ones in several parts at once; False when it does not exist."""
        with self._translated(key):
            try:
                with target.open("wb") as stream:
                    self._client.download_fileobj(self._bucket, self._full(key), stream, Config=_TRANSFER)
            except ClientError as error:
                target.unlink(missing_ok=True)
                if _code(error) in _ABSENT:
                    return False
                raise
            return True

    def list(self, prefix: str, *, limit: int | None = None) -> list[str]:
        """Keys that start with `prefix`, in ascending order, at most `limit`."""
        with self._translated(prefix):
            return list(islice(self._keys(prefix, 1000 if limit is None else min(limit, 1000)), limit))

    def _keys(self, prefix: str, page: int) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._full(prefix), PaginationConfig={"PageSize": max(page, 1)}
        )
        for answer in pages:
            for found in answer.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix)

    def delete(self, key: str) -> None:
        """Remove an object; removing what is absent is fine."""
        with self._translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return f"{self._prefix}{key}"

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        what = f"{self._root}/{key}"
        try:
            yield
        except ClientError as error:
            raise _refusal(what, error) from error
        except (NoCredentialsError, PartialCredentialsError, ParamValidationError) as error:
            raise BadConfiguration(f"{what} is not accessible", expected="S3 credentials", seen=str(error)) from error
        except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
            raise StoreUnavailable(f"{what} was not reached", expected="an answer", seen=str(error)) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StoreFull(f"{what} was not copied to this host", expected="free space", seen=str(error)) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refuse_large(key: str, size: int) -> None:
    if size > MAX_SINGLE_PUT_BYTES:
        raise PermanentError(f"{key} is too large to be created only if absent", expected="5 GiB", seen=f"{size} bytes")


def _refusal(what: str, error: ClientError) -> RecflowError:
    code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    seen = f"{status} {code}: {error.response.get('Error', {}).get('Message', '')}"
    if code in _FULL or status == 507:
        return StoreFull(f"{what} was not stored", expected="free space", seen=seen)
    if code in _WRONG or status in {301, 401, 403}:
        return BadConfiguration(
            f"{what} is not accessible",
            expected="a bucket and credentials that may use it",
            seen=seen,
            action="mend RECFLOW_STORE, RECFLOW_S3_ENDPOINT or the credentials",
        )
    if code in _SLOW or status in {409, 429} or status >= 500:
        return StoreUnavailable(f"{what} was not reached", expected="an answer", seen=seen)
    return PermanentError(f"{what} was refused", expected="2xx", seen=seen)
