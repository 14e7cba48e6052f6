"""Objects in a bucket of S3, or of a server that speaks it (MinIO, Ceph, R2).

An object is put by one conditional request (`If-None-Match: *`), or in parts that the last request, conditional too,
makes an object: at any moment there is all of it or nothing. The server checks a CRC32 of every request. An attempt
carries a mark of its own, so that one whose answer was lost is known again when it is repeated. Parts of an attempt
that died are no object; the bucket's rule `AbortIncompleteMultipartUpload` deletes them, which `retain` writes too.

`botocore` and not `obstore`: only the former makes parts into an object on condition, writes lifecycle rules, and finds
credentials wherever AWS programs do. A request is tried four times over some seconds; then the store is Unavailable.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from catchment import __version__
from catchment.errors import BadConfig, CatchmentError, Full, Missing, MissingExtra, Unavailable
from catchment.objects.port import Stored
from catchment.objects.settings import S3Settings

if TYPE_CHECKING:
    from botocore.client import BaseClient

SCHEME = "s3"
DEFAULT_REGION = "us-east-1"
CONNECT_S, READ_S, ATTEMPTS = 5, 30, 4
MARK = "catchment-attempt"
"""Name in an object's metadata of the mark of the attempt that made it."""
PARTS_DAYS = 2
"""Days that the bucket keeps parts of uploads that were never finished."""
_RACES = 10
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_ADVICE = {
    "NoSuchBucket": "the bucket does not exist; make it, or name another in the URL",
    "AccessDenied": "access is denied; the credentials need s3:GetObject, PutObject, DeleteObject and ListBucket",
    "InvalidAccessKeyId": "the server does not know the access key; see [s3] access_key, or the AWS environment",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; see [s3] secret_key",
    "RequestTimeTooSkewed": "this machine's clock differs from the server's by more than 15 minutes; set it (NTP)",
    "ExpiredToken": "the temporary credentials have expired; renew them",
    "PermanentRedirect": "the bucket is in another region; set [s3] region",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set [s3] region",
}
_TAKEN = frozenset({"PreconditionFailed", "412"})
_RACED = frozenset({"ConditionalRequestConflict", "409"})
Rules = list[dict[str, Any]]
_ABSENT = frozenset({"NoSuchKey", "404"})
_FULL = frozenset({"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"})
_NO_RULES = frozenset({"NotImplemented", "MethodNotAllowed", "AccessDenied", "XNotImplemented", "InvalidArgument"})


def bucket_of(url: str) -> tuple[str, str]:
    """Bucket and prefix (empty, or ending in `/`) of `s3://bucket/prefix`. Raises BadConfig."""
    bucket, _, prefix = url.removeprefix(f"{SCHEME}://").partition("/")
    if not url.startswith(f"{SCHEME}://") or not _BUCKET.match(bucket):
        raise BadConfig(
            f"[objects] url is {url!r}, must be `s3://` and a bucket; for example `s3://telemetry/catchment`"
        )
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def errors() -> tuple[type[Exception], ...]:
    """What the library raises: a refusal of the server, or anything on the way to it."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def connect(settings: S3Settings) -> BaseClient:
    """A client; safe to use from several threads, and not across a fork. Raises MissingExtra."""
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ImportError as error:
        raise MissingExtra("an object store s3://…", "s3") from error
    session = Session()
    region = settings.region or session.get_config_variable("region") or DEFAULT_REGION
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        user_agent_extra=f"catchment/{__version__}",
    )
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=settings.endpoint or None,
        aws_access_key_id=settings.access_key or None,
        aws_secret_access_key=settings.secret_key or None,
        config=config,
    )


class S3Objects:
    """`ObjectStore` in a bucket, below a prefix."""

    def __init__(self, url: str, settings: S3Settings, at: Callable[[str], None] = lambda point: None) -> None:
        """Nothing is asked of the server yet. `at` is told each part that is there (`part_put`)."""
        self._bucket, self._prefix = bucket_of(url)
        self._settings = settings
        self._client = connect(settings)
        self._errors = errors()
        self._at = at

    def put(self, key: str, content: bytes) -> bool:
        mark = secrets.token_hex(16)
        place = self._place(key)
        for _ in range(_RACES):
            try:
                if len(content) > self._settings.part_bytes:
                    self._put_parts(place, content, mark)
                else:
                    self._client.put_object(**place, Body=content, IfNoneMatch="*", Metadata={MARK: mark})
                return True
            except self._errors as error:
                code = _code(error)
                if code in _TAKEN:
                    return self._made_by(key, mark)
                if code not in _RACED:
                    raise self._refused(f"putting {key}", error) from error
        raise Unavailable(f"objects: putting {key} failed: others put the same key at once {_RACES} times; try again")

    def get(self, key: str) -> bytes:
        try:
            content: bytes = self._client.get_object(**self._place(key))["Body"].read()
            return content
        except self._errors as error:
            raise self._refused(f"getting {key}", error) from error

    def list(self, prefix: str) -> Iterator[Stored]:
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._prefix)
                    yield Stored(key, found["Size"], round(found["LastModified"].timestamp() * 1e9))
        except self._errors as error:
            raise self._refused(f"listing {prefix}", error) from error

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(**self._place(key))
        except self._errors as error:
            raise self._refused(f"deleting {key}", error) from error

    def retain(self, prefix: str, days: int) -> bool:
        """As the port says: a lifecycle rule of the bucket. Rules of others stay as they are."""
        place = self._prefix + prefix
        mine = [
            {"ID": f"catchment {place} expires", "Status": "Enabled", "Filter": {"Prefix": place}}
            | {"Expiration": {"Days": days}},
            {"ID": f"catchment {place} parts", "Status": "Enabled", "Filter": {"Prefix": place}}
            | {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": PARTS_DAYS}},
        ]
        names = {rule["ID"] for rule in mine}
        try:
            there = self._rules()
            for wanted in (mine, mine[:1]):  # MinIO gives parts up by itself, and takes no rule for them
                rules = [rule for rule in there if rule.get("ID") not in names] + wanted
                if all(rule in there for rule in wanted) or self._has_written(rules):
                    return True
            return False
        except self._errors as error:
            raise self._refused(f"writing the lifecycle rule of {prefix}", error) from error

    def _rules(self) -> Rules:
        try:
            rules: Rules = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)["Rules"]
        except self._errors as error:
            if _code(error) in {"NoSuchLifecycleConfiguration", *_NO_RULES}:
                return []
            raise
        return rules

    def _has_written(self, rules: Rules) -> bool:
        try:
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket, LifecycleConfiguration={"Rules": rules}
            )
        except self._errors as error:
            if _code(error) in _NO_RULES:
                return False
            raise
        return True

    def _put_parts(self, place: dict[str, str], content: bytes, mark: str) -> None:
        client, size = self._client, self._settings.part_bytes
        upload = client.create_multipart_upload(**place, Metadata={MARK: mark}, ChecksumAlgorithm="CRC32")["UploadId"]
        try:
            parts = []
            for number, start in enumerate(range(0, len(content), size), start=1):
                made = client.upload_part(
                    **place,
                    UploadId=upload,
                    PartNumber=number,
                    Body=content[start : start + size],
                    ChecksumAlgorithm="CRC32",
                )
                parts.append({"PartNumber": number, "ETag": made["ETag"], "ChecksumCRC32": made["ChecksumCRC32"]})
                self._at("part_put")
            client.complete_multipart_upload(
                **place, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            with suppress(*self._errors):  # the bucket's rule deletes parts that nobody gave up
                client.abort_multipart_upload(**place, UploadId=upload)
            raise

    def _made_by(self, key: str, mark: str) -> bool:
        """Whether the object is of this attempt, whose first answer was lost."""
        try:
            metadata: dict[str, str] = self._client.head_object(**self._place(key))["Metadata"]
        except self._errors as error:
            raise self._refused(f"putting {key}", error) from error
        return metadata.get(MARK) == mark

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _refused(self, doing: str, error: Exception) -> CatchmentError:
        code = _code(error)
        where = f"{SCHEME}://{self._bucket}/{self._prefix}"
        if code in _ABSENT:
            return Missing(f"object {doing.partition(' ')[2]}: is not in {where}; see `catchment landfill ls`")
        kind = Full if code in _FULL else Unavailable
        advice = _ADVICE.get(code, "nothing is known to have changed, try again once the store answers")
        if code == "NotImplemented":
            advice = "the store must know conditional puts (If-None-Match), which this one does not; use another"
        return kind(f"objects: {doing} in {where} failed: {error}; {advice}")


def _code(error: Exception) -> str:
    """The code of a server's refusal; empty for any other error."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    code = str(response.get("Error", {}).get("Code", ""))
    return "AccessDenied" if code == "403" else code
