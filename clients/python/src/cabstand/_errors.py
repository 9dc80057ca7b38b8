"""The one exception that calls raise, and how it is read from what gRPC says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory

from cabstand._reasons import BARE_STATUS, REASONS, ErrorClass, ReasonRow


class CabstandError(Exception):
    """Why something failed. Each class of reasons has a subclass of its own, and `CabstandError(reason, …)`
    makes the right one, so that `except OverloadError` catches what waiting helps against.

    Attributes:
        reason: the one to act on, `HOSTER_FULL` for example; docs/protocol.md lists them.
        error_class: what a client does about it: caller, overload, node, session, auth or fatal.
        message: a sentence for people.
        metadata: the facts of the case; for bad input `field`, `value` and `expected`.
        retry_after: seconds to wait before trying again helps; None where nothing was said.
        code: the gRPC status code by name, `RESOURCE_EXHAUSTED` for example.
    """

    reason: str
    error_class: ErrorClass
    message: str
    metadata: Mapping[str, str]
    retry_after: float | None
    code: str

    def __new__(cls, reason: str, *_: Any, **__: Any) -> CabstandError:
        kind = cls if cls is not CabstandError else _CLASSES[_known(reason).error_class]
        return Exception.__new__(kind, reason)

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason, message)
        known = _known(reason)
        self.reason = reason
        self.code = known.code
        self.error_class = known.error_class
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.reason, self.message, dict(self.metadata), self.retry_after)


class CallerError(CabstandError):
    """The caller's mistake: sending it again does not help."""


class OverloadError(CabstandError):
    """No room now: another hoster, or later (`retry_after`)."""


class NodeError(CabstandError):
    """A hoster or router failed, or cannot be reached."""


class SessionError(CabstandError):
    """The session is not there any more."""


class AuthError(CabstandError):
    """Credentials that are not good, or a clock that is off."""


class FatalError(CabstandError):
    """Trying again would come to the same."""


_CLASSES: dict[str, type[CabstandError]] = {
    "caller": CallerError,
    "overload": OverloadError,
    "node": NodeError,
    "session": SessionError,
    "auth": AuthError,
    "fatal": FatalError,
}


# Reasons are text outside of the table: the wire may say anything.
_TABLE: Mapping[str, ReasonRow] = {str(reason): info for reason, info in REASONS.items()}


def _known(reason: str) -> ReasonRow:
    return _TABLE[reason]


def _again(reason: str, message: str, metadata: dict[str, str], retry_after: float | None) -> CabstandError:
    return CabstandError(reason, message, metadata=metadata, retry_after=retry_after)


def invalid(field: str, value: object, expected: str, reason: str = "INVALID_ARGUMENT") -> CabstandError:
    """What is wrong with something that the caller gave."""
    text = repr(value)
    text = text if len(text) <= 200 else f"{text[:199]}…"
    return CabstandError(
        reason,
        f"{field}: got {text}, expected {expected}",
        metadata={"field": field, "value": text, "expected": expected},
    )


def _google_rpc() -> dict[str, Any]:
    """google.rpc.Status and what Cabstand puts into it, in a pool of their own: nothing is registered that
    googleapis-common-protos registers, too."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="cabstand/client/status.proto",
        package="cabstand.client",
        syntax="proto3",
        dependency=["google/protobuf/duration.proto"],
    )

    def message(name: str, fields: list[tuple[str, int, int, str]]) -> descriptor_pb2.DescriptorProto:
        made = file.message_type.add(name=name)
        for field_name, number, kind, type_name in fields:
            made.field.add(
                name=field_name.removeprefix("*"),
                number=number,
                type=kind,
                type_name=type_name or None,
                label=field.LABEL_REPEATED if field_name.startswith("*") else field.LABEL_OPTIONAL,
            )
        return made

    package = ".cabstand.client."
    message("Any", [("type_url", 1, field.TYPE_STRING, ""), ("value", 2, field.TYPE_BYTES, "")])
    message("Status", [("*details", 3, field.TYPE_MESSAGE, f"{package}Any")])
    message("Fact", [("key", 1, field.TYPE_STRING, ""), ("value", 2, field.TYPE_STRING, "")])
    message(
        "ErrorInfo",
        [
            ("reason", 1, field.TYPE_STRING, ""),
            ("domain", 2, field.TYPE_STRING, ""),
            ("*metadata", 3, field.TYPE_MESSAGE, f"{package}Fact"),
        ],
    )
    message("RetryInfo", [("delay", 1, field.TYPE_MESSAGE, ".google.protobuf.Duration")])
    pool = descriptor_pool.DescriptorPool()
    duration = descriptor_pb2.FileDescriptorProto()
    duration_pb2.DESCRIPTOR.CopyToProto(duration)
    pool.Add(duration)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"cabstand.client.{name}"))
        for name in ("Status", "ErrorInfo", "RetryInfo")
    }


_RPC = _google_rpc()


def from_status(code: str, message: str, details: bytes | None) -> CabstandError:
    """Reads a status that came from the wire: its details where it has them, else what the bare code means."""
    if details is not None:
        told = _from_details(message, details)
        if told is not None:
            return told
    reason = BARE_STATUS.get(code, BARE_STATUS["UNKNOWN"])
    return CabstandError(reason, message or code, metadata={"grpc_status": code})


def _from_details(message: str, details: bytes) -> CabstandError | None:
    info: Any = None
    retry_after: float | None = None
    try:
        for detail in _RPC["Status"].FromString(details).details:
            name = detail.type_url.rpartition("/")[2]
            if name == "google.rpc.ErrorInfo":
                found = _RPC["ErrorInfo"].FromString(detail.value)
                # A reason that only a newer client knows is taken by its code.
                if found.domain == "cabstand" and found.reason in _TABLE:
                    info = found
            elif name == "google.rpc.RetryInfo":
                delay = _RPC["RetryInfo"].FromString(detail.value).delay
                retry_after = delay.seconds + delay.nanos / 1e9
    except Exception:
        # Details that cannot be read are as good as none: the code still says something.
        return None
    if info is None:
        return None
    facts = {fact.key: fact.value for fact in info.metadata}
    return CabstandError(info.reason, message, metadata=facts, retry_after=retry_after)


def from_detail(detail: Any) -> CabstandError:
    """An error inside a stream (cabstand.v1.ErrorDetail)."""
    reason = detail.reason if detail.reason in _TABLE else "INTERNAL"
    return CabstandError(reason, detail.message, metadata=dict(detail.metadata))


def from_rpc(error: BaseException) -> CabstandError:
    """What a failed call says, whatever it threw."""
    if isinstance(error, CabstandError):
        return error
    code = getattr(error, "code", None)
    if callable(code):
        trailing = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
        details = None
        for key, value in trailing or ():
            if key == "grpc-status-details-bin" and isinstance(value, bytes):
                details = value
        made = from_status(code().name, str(error.details() or "") if hasattr(error, "details") else "", details)
    else:
        made = CabstandError("INTERNAL", f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made
