"""Credential files of every kind that google-auth reads, in the shapes that gcloud writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from emulator.keys import key_id, pem, write_private
from emulator.secret import Secrets
from emulator.state import State
from emulator.tokens import subject

KINDS = (
    "service_account",
    "impersonated_service_account",
    "external_account_file",
    "external_account_url",
    "external_account_no_impersonation",
    "authorized_user",
    "external_account_authorized_user",
    "gdch",
)
"""What Emulator.credentials() can write."""

_ACCOUNTS = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"


class Credentials:
    """Writes credential files for the live world into a folder."""

    def __init__(self, state: State, secrets: Secrets, directory: Path, issuer: str) -> None:
        self._state = state
        self._secrets = secrets
        self._directory = directory
        self._issuer = issuer

    def write(self, kind: str, email: str | None) -> Path:
        """Write the file of *kind* for the service account *email*; raises KeyError."""
        if kind not in KINDS:
            raise KeyError(kind)
        email = email or self._state.world.settings.identity
        info = getattr(self, f"_{kind}")(email)
        path = self._directory / f"{kind}-{email}.json"
        write_private(path, json.dumps(info, indent=2) + "\n")
        return path

    def _service_account(self, email: str) -> dict[str, Any]:
        key = self._state.tokens.account_key(email)
        return {
            "type": "service_account",
            "project_id": next(iter(self._state.world.projects)),
            "private_key_id": key_id(key),
            "private_key": pem(key),
            "client_email": email,
            "client_id": subject(email),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": f"{self._issuer}/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
            "universe_domain": "googleapis.com",
        }

    def _authorized_user(self, _email: str) -> dict[str, Any]:
        return {
            "account": "",
            "client_id": self._secrets.client_id,
            "client_secret": self._secrets.client_secret,
            "refresh_token": self._secrets.refresh_token,
            "type": "authorized_user",
            "universe_domain": "googleapis.com",
        }

    def _impersonated_service_account(self, email: str) -> dict[str, Any]:
        delegate = self._state.world.settings.delegate
        return {
            "delegates": [f"projects/-/serviceAccounts/{delegate}"],
            "service_account_impersonation_url": f"{_ACCOUNTS}/{email}:generateAccessToken",
            "source_credentials": self._authorized_user(email),
            "type": "impersonated_service_account",
        }

    def _external_account(self, source: dict[str, Any]) -> dict[str, Any]:
        return {
            "universe_domain": "googleapis.com",
            "type": "external_account",
            "audience": self._secrets.audience(self._state.world),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": source,
        }

    def _external_account_no_impersonation(self, _email: str) -> dict[str, Any]:
        path = self._directory / "subject-token"
        write_private(path, self._secrets.subject_token)
        return self._external_account({"file": str(path)})

    def _external_account_file(self, email: str) -> dict[str, Any]:
        url = {"service_account_impersonation_url": f"{_ACCOUNTS}/{email}:generateAccessToken"}
        return self._external_account_no_impersonation(email) | url

    def _external_account_url(self, email: str) -> dict[str, Any]:
        source = {
            "url": f"{self._issuer}/subject-token",
            "headers": {"X-Emulator-Source": "yes"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }
        url = {"service_account_impersonation_url": f"{_ACCOUNTS}/{email}:generateAccessToken"}
        return self._external_account(source) | url

    def _external_account_authorized_user(self, _email: str) -> dict[str, Any]:
        pool = "//iam.googleapis.com/locations/global/workforcePools/emulator"
        return {
            "type": "external_account_authorized_user",
            "audience": f"{pool}/providers/oidc",
            "client_id": self._secrets.client_id,
            "client_secret": self._secrets.client_secret,
            "refresh_token": self._secrets.refresh_token,
            "token_url": "https://sts.googleapis.com/v1/oauthtoken",
            "token_info_url": "https://sts.googleapis.com/v1/introspect",
        }

    def _gdch(self, _email: str) -> dict[str, Any]:
        return {
            "type": "gdch_service_account",
            "format_version": "1",
            "project": next(iter(self._state.world.projects)),
            "private_key_id": "1",
            "private_key": pem(ec.generate_private_key(ec.SECP256R1())),
            "name": "prometheus",
            "ca_cert_path": "",
            "token_uri": "https://service-identity.example.com/authenticate",
        }
