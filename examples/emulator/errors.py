"""Google's errors: one description, rendered for gRPC and for REST."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2  # type: ignore[import-untyped] # none shipped
from google.rpc import (  # type: ignore[import-untyped] # none shipped
    code_pb2,
    error_details_pb2,
    status_pb2,
)

from emulator.wire import Response

JSON_TYPE = ("Content-Type", "application/json; charset=UTF-8")
_HTTP = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_OF_HTTP = {status: code for code, status in _HTTP.items()} | {400: "INVALID_ARGUMENT"}


@dataclass(eq=False)
class GoogleError(Exception):
    """An error as google.rpc.Status has it; *reason* makes an ErrorInfo detail."""

    code: str
    message: str
    reason: str | None = None
    domain: str = "googleapis.com"
    metadata: dict[str, str] = field(default_factory=dict)

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status."""
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code), message=self.message)
        if self.reason:
            info = error_details_pb2.ErrorInfo(
                reason=self.reason, domain=self.domain, metadata=self.metadata
            )
            detail = any_pb2.Any()
            detail.Pack(info)
            status.details.append(detail)
        return status

    def abort(self, context: grpc.ServicerContext) -> None:
        """End a gRPC call with this error and its details; raises."""
        trailer = ("grpc-status-details-bin", self.status().SerializeToString())
        context.set_trailing_metadata((trailer,))
        context.abort(getattr(grpc.StatusCode, self.code), self.message)

    def response(self) -> Response:
        """The REST answer: ``{"error": {"code", "message", "status", "details"}}``."""
        status = _HTTP.get(self.code, 500)
        error: dict[str, object] = {"code": status, "message": self.message, "status": self.code}
        if self.reason:
            info = {"reason": self.reason, "domain": self.domain, "metadata": self.metadata}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo"} | info]
        return json_response({"error": error}, status if status != 499 else 500)


def json_response(value: object, status: int = 200, *headers: tuple[str, str]) -> Response:
    """Answer with JSON."""
    return Response(status, json.dumps(value, indent=1).encode(), (JSON_TYPE, *headers))


def oauth_error(error: str, description: str, status: int = 400) -> Response:
    """Answer as an OAuth token endpoint does (RFC 6749 §5.2)."""
    return json_response({"error": error, "error_description": description}, status)


def of_http(status: int) -> GoogleError:
    """A plausible error for an HTTP status."""
    code = _OF_HTTP.get(status, "INTERNAL" if status >= 500 else "UNKNOWN")
    return GoogleError(code, _MESSAGES.get(code, f"HTTP status {status}."))


_MESSAGES = {
    "UNAVAILABLE": "The service is currently unavailable.",
    "INTERNAL": "Internal error encountered.",
    "RESOURCE_EXHAUSTED": "Quota exceeded for quota metric 'Requests' and limit "
    "'Requests per minute' of service 'run.googleapis.com'.",
    "PERMISSION_DENIED": "The caller does not have permission",
    "DEADLINE_EXCEEDED": "Deadline exceeded.",
}


def message_for(code: str) -> str:
    """A message for a gRPC code that a fault asks for."""
    return _MESSAGES.get(code, f"{code.replace('_', ' ').capitalize()}.")


def denied(permission: str, resource: str) -> GoogleError:
    """Permission denied, or no such resource: Google does not tell which."""
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{resource}' (or resource may not exist).",
        "IAM_PERMISSION_DENIED",
        "iam.googleapis.com",
        {"permission": permission, "resource": resource},
    )


def disabled(number: int) -> GoogleError:
    page = "https://console.developers.google.com/apis/api/run.googleapis.com/overview"
    return GoogleError(
        "PERMISSION_DENIED",
        f"Cloud Run Admin API has not been used in project {number} before or it is disabled. "
        f"Enable it by visiting {page}?project={number} then retry. If you enabled this API "
        "recently, wait a few minutes for the action to propagate to our systems and retry.",
        "SERVICE_DISABLED",
        metadata={"service": "run.googleapis.com", "consumer": f"projects/{number}"},
    )


def unauthenticated(what: str, reason: str) -> GoogleError:
    return GoogleError(
        "UNAUTHENTICATED",
        f"Request {what} authentication credential{'s' if 'had' in what else ''}. Expected OAuth 2 "
        "access token, login cookie or other valid authentication credential.",
        reason,
        metadata={"service": "run.googleapis.com"},
    )
