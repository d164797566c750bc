"""The example for those who come from gcp-oidc-token-proxy fits together."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from runscrape_proxy import cli
from runscrape_proxy.settings import DEFAULTS, Settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "gcp-oidc-token-proxy"


def settings() -> Settings:
    """The settings that the proxy of the Compose file runs with."""
    program, *arguments = compose()["gcp-oidc-token-proxy"]["command"]
    assert program == cli.PROGRAM
    with cli.command.make_context(program, arguments) as context:
        return cli.settings_of(context)


def compose() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load((EXAMPLE / "compose.yml").read_text())[
        "services"
    ]
    return services


def test_the_old_name_leads_to_loopback_and_is_ours() -> None:
    """The name in existing jobs resolves to loopback in Prometheus' network, and passes as Host."""
    (entry,) = compose()["prometheus"]["extra_hosts"]
    name, _, address = entry.partition(":")
    assert (name, address) == ("gcp-oidc-token-proxy", "127.0.0.1")
    assert settings().allowed_host == (name,)
    assert compose()["gcp-oidc-token-proxy"]["network_mode"] == "service:prometheus"


def test_the_port_is_the_default_one() -> None:
    """The example's token_url needs no --listen: its port is the proxy's own."""
    jobs = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())["scrape_configs"]
    port = urlsplit(jobs[0]["oauth2"]["token_url"]).port
    assert settings().listen == DEFAULTS.listen
    assert port == int(DEFAULTS.listen[0].rpartition(":")[2])
