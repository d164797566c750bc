"""Commands that several causes share."""

from __future__ import annotations

Command = tuple[str, ...]

SERVICE: Command = ("{service}", "--project", "{project}", "--region", "{region}")
UPDATE: Command = ("gcloud", "run", "services", "update", *SERVICE)
DESCRIBE: Command = ("gcloud", "run", "services", "describe", *SERVICE)
BIND: Command = ("gcloud", "run", "services", "add-iam-policy-binding", *SERVICE)
LOGS: Command = (
    *("gcloud", "logging", "read", "--project", "{project}", "--freshness", "1h", "--limit", "20"),
    "resource.type=cloud_run_revision AND resource.labels.service_name={service}",
)
BIND_ACCOUNT: Command = ("gcloud", "iam", "service-accounts", "add-iam-policy-binding", "{account}")
CLOCK: Command = ("sudo", "timedatectl", "set-ntp", "true")
LOGIN: Command = ("gcloud", "auth", "application-default", "login")
ONE_WARM: Command = (*UPDATE, "--min-instances", "1")
ONE_AT_MOST: Command = (*UPDATE, "--max-instances", "1")
PATH: Command = (*UPDATE, "--update-labels", "prometheus-path={path_label}")
TIMEOUT: Command = (*UPDATE, "--update-labels", "prometheus-timeout={fitting}")

START: Command = ("{*start}",)
"""The proxy's own command."""
GENERATE: Command = ("{*generate}",)
RELOAD: Command = ("{*reload}",)
