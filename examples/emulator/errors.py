"""Google's errors: one description, rendered for gRPC and for REST."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import grpc
from google.protobuf import json_format  # type: ignore[import-untyped] # none shipped
from google.protobuf.message import Message  # type: ignore[import-untyped]
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
    """An error as google.rpc.Status has it; *reason* makes an ErrorInfo, *help_text* a Help."""

    code: str
    message: str
    reason: str | None = None
    domain: str = "googleapis.com"
    metadata: dict[str, str] = field(default_factory=dict)
    help_text: str | None = None
    help_url: str = "https://cloud.google.com/contact"

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status."""
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code), message=self.message)
        details: list[Message] = []
        if self.reason:
            details.append(
                error_details_pb2.ErrorInfo(
                    reason=self.reason, domain=self.domain, metadata=self.metadata
                )
            )
        if self.help_text:
            link = error_details_pb2.Help.Link(description=self.help_text, url=self.help_url)
            details.append(error_details_pb2.Help(links=[link]))
        for detail in details:
            status.details.add().Pack(detail)
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
        if details := json_format.MessageToDict(self.status()).get("details"):
            error["details"] = details
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
    return GoogleError(code, message_for(code) if code in _MESSAGES else f"HTTP status {status}.")


_MESSAGES = {
    "UNAVAILABLE": "The service is currently unavailable.",
    "INTERNAL": "Internal error encountered.",
    "UNAUTHENTICATED": "Request had invalid authentication credentials. Expected OAuth 2 access "
    "token, login cookie or other valid authentication credential.",
    "RESOURCE_EXHAUSTED": "Quota exceeded for quota metric 'Requests' and limit "
    "'Requests per minute' of service '{service}'.",
    "PERMISSION_DENIED": "The caller does not have permission",
    "DEADLINE_EXCEEDED": "Deadline exceeded.",
}


def message_for(code: str, service: str = "run.googleapis.com") -> str:
    """A message for a gRPC code that a fault asks for."""
    said = _MESSAGES.get(code, f"{code.replace('_', ' ').capitalize()}.")
    return said.format(service=service)


def denied(permission: str, resource: str) -> GoogleError:
    """Permission denied, or no such resource: Google does not tell which."""
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{resource}' (or resource may not exist).",
        "IAM_PERMISSION_DENIED",
        "iam.googleapis.com",
        {"permission": permission, "resource": resource},
    )


def restricted(region: str, number: int) -> GoogleError:
    """The region is named to everybody, and open to few (seen for me-central2)."""
    return GoogleError(
        "PERMISSION_DENIED",
        f"Permission denied on 'locations/{region}' (or it may not exist).",
        "LOCATION_POLICY_VIOLATED",
        metadata={"location": region, "consumer": f"projects/{number}", "service": ""},
        help_text="Access to the region is unavailable. Please contact our sales team at "
        "https://cloud.google.com/contact for further details.",
    )


def disabled(
    number: int, service: str = "run.googleapis.com", title: str = "Cloud Run Admin API"
) -> GoogleError:
    """The API *service* is off in the project of that number."""
    page = f"https://console.developers.google.com/apis/api/{service}/overview"
    return GoogleError(
        "PERMISSION_DENIED",
        f"{title} has not been used in project {number} before or it is disabled. "
        f"Enable it by visiting {page}?project={number} then retry. If you enabled this API "
        "recently, wait a few minutes for the action to propagate to our systems and retry.",
        "SERVICE_DISABLED",
        metadata={"service": service, "consumer": f"projects/{number}"},
    )


def unauthenticated(what: str, reason: str, service: str) -> GoogleError:
    """No credentials, or none that count."""
    return GoogleError(
        "UNAUTHENTICATED",
        f"Request {what} authentication credential{'s' if 'had' in what else ''}. Expected OAuth 2 "
        "access token, login cookie or other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        reason,
        metadata={"service": service},
    )
