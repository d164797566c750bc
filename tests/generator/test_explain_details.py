"""`runscrape explain SERVICE…`: every setting in force, with where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from emulator import Emulator
from runscrape_generator.cli import main as cli
from runscrape_generator.cli.details import named, text
from runscrape_generator.config import load as configuration
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Service
from runscrape_generator.selection.decide import decide
from tests.generator.commands_kit import world
from tests.generator.services import service

FILE = """\
scrape_interval: 45s
rules:
  - labels: {team: all, stage: prod}
    scrape_config: {sample_limit: 500}
  - match: {service: shop}
    target: shop.example.com
    audience: https://tokens.example.com
    labels: {team: payments}
    params: {format: text}
    scrape_timeout: 20s
    endpoints:
      - /metrics
      - path: /slow
        job: slow/{service}
        scrape_interval: 5m
        labels: {speed: slow}
  - match: {service: hidden}
    skip: true
  - match: {service: shop}
    job: "shop/{region}"
    scrape_config: {honor_labels: true}
"""


def origins(
    one: Service, folder: Path, text: str = "", **flags: str
) -> Mapping[tuple[str, str], tuple[object, str]]:
    """Give value and origin of each setting of a service, by endpoint (if it has its own) and name.

    The file is called FILE.
    """
    path = folder / "runscrape.yaml"
    path.write_text(text)
    environ = {"RUNSCRAPE_METRICS_PATH": "/env"}
    loaded = configuration.load("explain", {"config": str(path), **flags}, environ)
    decisions = decide([one], loaded.settings)
    ((_, facts),) = named([one.name], decisions, loaded.settings, loaded.origins)
    return {
        (fact.path, fact.name): (fact.value, fact.origin.replace(str(path), "FILE"))
        for fact in facts
    }


def test_flag_variable_file_and_default(tmp_path: Path) -> None:
    """A setting of runscrape's own names the flag, the variable, the line, or its default."""
    found = origins(service(), tmp_path, "scrape_interval: 45s\n", scrape_timeout="7s")
    assert found["", "scrape_interval"] == ("45s", "FILE:1")
    assert found["", "scrape_timeout"] == ("7s", "--scrape-timeout")
    assert found["", "metrics_path"] == ("/env", "RUNSCRAPE_METRICS_PATH")
    assert found["", "job"] == ("cloudrun/demo/us-central1/api", "default of --job-name")
    assert found["", "audience"][1] == found["", "target"][1] == "the service's URL"
    assert origins(service(), tmp_path)["", "scrape_interval"] == ("1m", "Prometheus' own default")


def test_annotations_and_labels_of_the_service(tmp_path: Path) -> None:
    """What a service says of itself names the annotation or the label that says it."""
    annotations = {
        "prometheus.io/path": "/stats",
        "prometheus.io/param-format": "text",
        "prometheus.io/audience": service().uri,
    }
    one = service(annotations=annotations, labels={"prometheus-interval": "15s"})
    found = origins(one, tmp_path)
    assert found["", "metrics_path"] == ("/stats", "annotation prometheus.io/path")
    assert found["", "scrape_interval"] == ("15s", "label prometheus-interval")
    assert found["", "params.format"] == (["text"], "annotation prometheus.io/param-format")
    assert found["", "audience"][1] == "annotation prometheus.io/audience"


def test_rules_by_number_and_line(tmp_path: Path) -> None:
    """What rules set names the last rule that does, and its line; endpoints their own."""
    found = origins(service("shop"), tmp_path, FILE)
    assert [value for (_, name), (value, _) in found.items() if name == "rule"] == ["rules[3]"]
    assert found["", "target"] == ("shop.example.com:443", "rules[1], FILE:6")
    assert found["", "audience"] == ("https://tokens.example.com", "rules[1], FILE:7")
    assert found["", "labels.team"] == ("payments", "rules[1], FILE:8")
    assert found["", "labels.stage"] == ("prod", "rules[0], FILE:3")
    assert found["", "labels.location"] == ("us-central1", "on every target")
    assert found["", "params.format"] == (["text"], "rules[1], FILE:9")
    assert found["", "scrape_timeout"] == ("20s", "rules[1], FILE:10")
    assert found["", "scrape_config.sample_limit"] == (500, "rules[0], FILE:4")
    assert found["", "scrape_config.honor_labels"] == (True, "rules[3], FILE:21")
    assert found["/metrics", "job"] == ("shop/us-central1", "rules[3], FILE:20")
    assert found["/metrics", "scrape_interval"] == ("45s", "FILE:1")
    assert found["/slow", "job"] == ("slow/shop", "rules[1], FILE:14")
    assert found["/slow", "scrape_interval"] == ("5m", "rules[1], FILE:15")
    assert found["/slow", "labels.speed"] == ("slow", "rules[1], FILE:16")
    assert found["/slow", "metrics_path"] == ("/slow", "rules[1], FILE:13")


def test_a_skipped_service_names_the_rule(tmp_path: Path) -> None:
    """Of a service that a rule skips, the rule is named."""
    found = origins(service("hidden"), tmp_path, FILE)
    assert found["", "skip"] == (True, "rules[2], FILE:18")


def test_what_was_made_to_fit_says_so(tmp_path: Path) -> None:
    """A value that no source has (a timeout cut to the interval) is not given a false origin."""
    one = service(annotations={"prometheus.io/interval": "5s"})
    found = origins(one, tmp_path)
    assert found["", "scrape_timeout"][0] == "5s"
    assert found["", "scrape_timeout"][1].startswith("worked out")


def test_names_ids_and_globs() -> None:
    """A service is named by its name, by PROJECT/REGION/NAME, or by a glob on either."""
    loaded = configuration.load("explain", {}, {})
    decisions = decide(map(service, ("api", "shop", "shop-two")), loaded.settings)

    def chosen(*names: str) -> list[str]:
        found = named(names, decisions, loaded.settings, loaded.origins)
        return [decision.service.name for decision, _ in found]

    assert chosen("shop") == ["shop"]
    assert chosen("shop*", "demo/us-central1/api") == ["api", "shop", "shop-two"]
    with pytest.raises(ConfigError, match="no service 'shp' was found; did you mean 'shop'"):
        chosen("api", "shp")


def test_hostile_text_is_shown_not_obeyed() -> None:
    """Control characters in what a service says come out escaped, each on its line."""
    one = service(annotations={"prometheus.io/param-a": "x\x1b[2J\ny"})
    loaded = configuration.load("explain", {}, {})
    shown = text(named(["api"], decide([one], loaded.settings), loaded.settings, loaded.origins))
    assert "\x1b" not in shown
    assert (
        len(shown.splitlines())
        == len(
            text(
                named(
                    ["api"], decide([service()], loaded.settings), loaded.settings, loaded.origins
                )
            ).splitlines()
        )
        + 1
    )


def test_the_command(google: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    """The real command: a name gives that service in full, --json the same for programs."""
    google.update(world("ab"))
    listing = ["explain", "svc-a", "--project", "demo", "--api-endpoint", google.api]
    assert cli.main(listing) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "svc-a in demo/europe-west1: kept"
    assert any(line.split()[0] == "metrics_path" for line in shown)
    assert not any("svc-b" in line for line in shown)
    assert cli.main([*listing, "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)["services"]
    path = {"name": "metrics_path", "value": "/metrics", "origin": "default of --metrics-path"}
    assert path in found["settings"]
    assert cli.main([*listing[:1], "svc-x", *listing[2:]]) == 2
    assert "no service 'svc-x' was found" in capfd.readouterr().err
