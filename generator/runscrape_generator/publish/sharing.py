"""Whether an inventory is another run's too: what these settings would take out of it.

An inventory belongs to one set of settings. Where two outputs with different ones share it, each
run throws out what only the other one lists or asks tokens for: the proxy then refuses those, and
there is no last known good for them. That looks just like a change of one's own settings, so it is
a warning, and only for what went by the settings and not at Google's: a run that is repeated, or
finds a service gone or changed, says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from runscrape_generator.cloudrun.recall import Recalled
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Decision, Scope, Service
from runscrape_generator.publish.inventory import Inventory

_NAMED = 3


def warning(
    settings: Settings, before: Inventory, recalled: Recalled, decisions: Iterable[Decision]
) -> str:
    """One line if the settings take services or audiences out of their inventory; empty if not.

    Services that Google lists no longer, or with other facts, are not meant.
    """
    now = {decision.service.id: decision for decision in decisions}
    asked = {endpoint.audience for each in now.values() for endpoint in each.endpoints}
    lost = [
        service
        for scope, services in sorted(before.scopes.items())
        for service in services
        if (wanted := before.audiences.get(service.id)) is not None
        and (
            _left_out(scope, recalled, settings)
            or (not wanted <= asked and _same(service, now.get(service.id)))
        )
    ]
    if not lost:
        return ""
    some = ", ".join(service.id for service in lost[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return (
        f"other settings than these wrote {settings.inventory_path}: {some}{more} will be gone "
        "from it, or have another audience; if two outputs share it, give each its own --inventory"
    )


def _left_out(scope: Scope, recalled: Recalled, settings: Settings) -> bool:
    """Whether the settings do not list a scope, and not Google that no longer names its region."""
    if scope in recalled.scopes:
        return False
    return bool(settings.regions) or scope.project not in {each.project for each in recalled.scopes}


def _same(service: Service, now: Decision | None) -> bool:
    return now is not None and _facts(service) == _facts(now.service)


def _facts(service: Service) -> tuple[object, ...]:
    """What Google says of a service that decides whether it is kept, and its audience."""
    return (
        service.uri,
        service.urls,
        service.custom_audiences,
        dict(service.labels),
        dict(service.annotations),
        service.ingress,
        bool(service.latest_ready_revision),
        service.invoker_iam_disabled,
        service.default_uri_disabled,
        service.iap_enabled,
    )
