"""Settings: the corpus of good and bad files, what beats what, and --print-config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from runscrape_generator.config import load as configuration
from runscrape_generator.config import printing
from runscrape_generator.config.settings import (
    BY_KEY,
    COMMANDS,
    OPTIONS,
    EndpointRule,
    Format,
    Match,
    Mode,
    Option,
    Rule,
    Settings,
)
from runscrape_generator.errors import ConfigError

CORPUS = Path(__file__).parent / "corpus"
GOOD = sorted((CORPUS / "good").glob("*.yaml"))
BAD = sorted((CORPUS / "bad").glob("*.yaml"))

# For each option three values, as a flag or variable has them: in the file, in the variable, by
# flag; and what Settings holds of each.
SAMPLES: Mapping[str, tuple[tuple[str, str, str], tuple[object, object, object]]] = {
    "project": (("in-file", "in-env", "by-flag"), (("in-file",), ("in-env",), ("by-flag",))),
    "organization": (("1", "2", "3"), (("1",), ("2",), ("3",))),
    "folder": (("12", "34", "56"), (("12",), ("34",), ("56",))),
    "region": (("us-east1", "us-east4", "us-east5"), (("us-east1",), ("us-east4",), ("us-east5",))),
    "api_endpoint": (("a", "b", "c"), ("a", "b", "c")),
    "concurrency": (("1", "2", "3"), (1, 2, 3)),
    "timeout": (("1s", "2s", "1m"), (1.0, 2.0, 60.0)),
    "include": (("a", "b*", "c?"), (("a",), ("b*",), ("c?",))),
    "exclude": (("a", "b*", "c?"), (("a",), ("b*",), ("c?",))),
    "label": (("a=b", "a=c", "a="), ({"a": "b"}, {"a": "c"}, {"a": ""})),
    "opt_in": (("true", "false", "true"), (True, False, True)),
    "ingress": (("internal", "all", "internal"), ("internal", "all", "internal")),
    "audience": (("custom", "uri", "custom"), ("custom", "uri", "custom")),
    "format": (
        ("vmagent", "operator", "scrape-configs"),
        (Format.VMAGENT, Format.OPERATOR, Format.SCRAPE_CONFIGS),
    ),
    "mode": (("gateway", "oauth2", "gateway"), (Mode.GATEWAY, Mode.OAUTH2, Mode.GATEWAY)),
    "template": (("a", "b", "c"), (Path("FOLDER/a"), Path("b"), Path("c"))),
    "token_url": (("http://a", "http://b/t", "https://c"), ("http://a", "http://b/t", "https://c")),
    "gateway_url": (("http://a", "http://b", "http://c"), ("http://a", "http://b", "http://c")),
    "targets_from": (("http", "file", "http"), ("http", "file", "http")),
    "targets_file": (("a.json", "b.YML", "c.yaml"), ("a.json", "b.YML", "c.yaml")),
    "client_id": (("a", "b", "c"), ("a", "b", "c")),
    "client_secret_file": (("a", "b", "c"), ("a", "b", "c")),
    "job_name": (("a", "{service}", "c"), ("a", "{service}", "c")),
    "scrape_interval": (("1m", "2m", "3m"), ("1m", "2m", "3m")),
    "scrape_timeout": (("1s", "2s", "3s"), ("1s", "2s", "3s")),
    "metrics_path": (("/a", "/b", "/c"), ("/a", "/b", "/c")),
    "prometheus_version": (("2.50", "3.0", "3.5.1"), ("2.50", "3.0", "3.5.1")),
    "vmagent_version": (("1.80", "1.112", "1.145.1"), ("1.80", "1.112", "1.145.1")),
    "output": (
        ("a.yml", "b.yml", "c.yml"),
        (Path("FOLDER/a.yml"), Path("b.yml"), Path("c.yml")),
    ),
    "into": (("a", "b", "c"), (Path("FOLDER/a"), Path("b"), Path("c"))),
    "force": (("true", "false", "true"), (True, False, True)),
    "inventory": (("a", "b", "c"), (Path("FOLDER/a"), Path("b"), Path("c"))),
    "dry_run": (("true", "false", "true"), (True, False, True)),
    "watch": (("1m", "2m", "3m"), (60.0, 120.0, 180.0)),
    "max_removed": (("0", "12.5", "100"), (0.0, 12.5, 100.0)),
    "metrics_file": (
        ("a.prom", "b.prom", "c.prom"),
        (Path("FOLDER/a.prom"), Path("b.prom"), Path("c.prom")),
    ),
    "promtool": (("./a", "none", "/c"), ("FOLDER/a", "none", "/c")),
    "reload": (("http://a/-/reload", "http://b/-/reload", "http://c/-/reload"),) * 2,
    "reload_user": (("a", "b", "c"), ("a", "b", "c")),
    "reload_password_file": (("a", "b", "c"), (Path("FOLDER/a"), Path("b"), Path("c"))),
    "reload_command": (("a", "b", "c"), ("a", "b", "c")),
    "verbosity": (("-1", "1", "2"), (-1, 1, 2)),
    "log_format": (("json", "text", "json"), ("json", "text", "json")),
}
_OUTPUT = {"output": "x.yml"}
_RELOAD = _OUTPUT | {"reload": "http://a/-/reload"}
NEEDED: dict[str, dict[str, str]] = {
    **dict.fromkeys(("dry_run", "watch", "reload", "reload_command"), _OUTPUT),
    "reload_user": _RELOAD | {"reload_password_file": "p"},
    "reload_password_file": _RELOAD | {"reload_user": "u"},
}
"""What a setting needs beside it."""
SETTABLE = [option for option in OPTIONS if not option.file_only]


def load(command: str = "generate", **flags: object) -> Settings:
    return configuration.load(command, flags, {}).settings


def written(option: Option, text: str) -> str:
    """The line of a file that says the same as a flag's text."""
    return yaml.safe_dump({option.key: yaml.safe_load(text) if option.number else text})


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_is_read(path: Path) -> None:
    """Each good file of the corpus gives settings."""
    assert configuration.load("generate", {"config": str(path)}, {}).settings.concurrency >= 1


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_gives_exactly_these_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake of a bad file is one line with file, line, key and remedy, all in one run."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as caught:
        configuration.load("generate", {"config": path.name}, {})
    assert str(caught.value) + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_no_mistake_repeats_a_password() -> None:
    """A secret in a file with mistakes is in none of the messages."""
    with pytest.raises(ConfigError) as caught:
        load(config=str(CORPUS / "bad" / "secrets.yaml"))
    assert "hunter2" not in str(caught.value)
    assert ":secret@" not in str(caught.value)


def test_a_whole_file_becomes_these_settings() -> None:
    """Every key of the file reaches the setting of its name, in that setting's type."""
    folder = CORPUS / "good"
    assert load(config=str(folder / "everything.yaml")) == Settings(
        projects=("demo", "example.com:old-project"),
        regions=("us-central1", "europe-west10"),
        api_endpoint="https://run.example.com:8443",
        concurrency=16,
        timeout=90.0,
        include=("api-*", "shop"),
        exclude=("*-[0-9]",),
        label={"team": "payments"},
        ingress="internal",
        audience="custom",
        format=Format.SCRAPE_CONFIGS,
        template=folder / "prometheus.yml.j2",
        token_url="https://proxy.example:7777/token",
        gateway_url="http://[::1]:7777",
        targets_file="/etc/prometheus/targets.json",
        client_id="prometheus-1",
        client_secret_file="/etc/prometheus/runscrape.secret",
        job_name="run-{service}",
        scrape_interval="30s",
        scrape_timeout="10s",
        metrics_path="/internal/metrics",
        prometheus_version="3.5",
        output=folder / "out/prometheus.yml",
        inventory=folder / "out/inventory.json",
        watch=300.0,
        max_removed=12.5,
        metrics_file=folder / "runscrape.prom",
        promtool="/usr/bin/promtool",
        reload="http://127.0.0.1:9090/prometheus/-/reload",
        verbosity=1,
        log_format="json",
        rules=(
            Rule(
                match=Match(
                    project="demo*", region="europe-*", service="shop-?", labels={"team": "pay*"}
                ),
                skip=False,
                audience="/projects/123/global/backendServices/456",
                target="shop.example.com:8443",
                scrape_interval="15s",
                scrape_timeout="15s",
                params={"format": ("prometheus",), "names": ("a", "b")},
                labels={"team": "payments"},
                job="shop/{region}",
                token_header="X-Serverless-Authorization",
                app_credentials="shop.authorization",
            ),
        ),
    )


def test_endpoints_are_paths_or_mappings() -> None:
    """An endpoint is a path alone, or a path and what differs for it."""
    first, second, third = load(config=str(CORPUS / "good" / "endpoints.yaml")).rules
    assert first.endpoints == (EndpointRule(path="/metrics"), EndpointRule(path="/metrics/db"))
    assert second.endpoints == (
        EndpointRule(path="/metrics"),
        EndpointRule(path="/metrics", params={"collect[]": ("cpu", "disk")}),
        EndpointRule(
            path="/slow",
            job="slow/{service}",
            scrape_interval="5m",
            scrape_timeout="1m",
            labels={"speed": "slow", "team": "{label.team}", "where": "{project}/{region}"},
        ),
    )
    assert third.endpoints == (EndpointRule(path="/only"),)


def test_a_scrape_config_is_kept_as_it_is_written() -> None:
    """What a rule merges into the job is the plain data of the file."""
    path = CORPUS / "good" / "scrape_config.yaml"
    (rule,) = load(config=str(path)).rules
    assert rule.scrape_config == yaml.safe_load(path.read_text())["rules"][0]["scrape_config"]


def test_nothing_given_is_the_defaults() -> None:
    """Without flags, variables and file, every command has the defaults of Settings."""
    for command in COMMANDS:
        loaded = configuration.load(command, {}, {})
        assert loaded.settings == Settings()
        assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize("option", SETTABLE, ids=lambda option: option.key)
def test_a_flag_beats_the_variable_which_beats_the_file(option: Option, tmp_path: Path) -> None:
    """For every option of the table: flag over variable over file, and the origin says which."""
    (in_file, in_variable, by_flag), held = SAMPLES[option.key]
    config = tmp_path / "runscrape.yaml"
    others = yaml.safe_dump(NEEDED[option.key]) if option.key in NEEDED else ""
    config.write_text(f"# a comment\n{written(option, in_file)}{others}")
    flags: dict[str, Any] = {"config": str(config)}
    environ = {option.variable: in_variable}
    flag = {option.key: (by_flag,) if option.repeatable else by_flag}
    if option.key in {"gateway_url", "targets_file", "targets_from"}:
        flag["mode"] = "gateway"
    if option.key == "vmagent_version":
        flag["format"] = "vmagent"
    rounds: tuple[tuple[dict[str, Any], dict[str, str], str, object], ...] = (
        (flags, {}, f"{config}:2", held[0]),
        (flags, environ, option.variable, held[1]),
        (flags | flag, environ, option.flag, held[2]),
    )
    command = option.commands[0]
    for given, variables, origin, value in rounds:
        loaded = configuration.load(command, given, variables)
        found = getattr(loaded.settings, option.name)
        if "FOLDER" in str(value):
            assert str(found) == str(value).replace("FOLDER", str(tmp_path))
        else:
            assert found == value
        assert loaded.origins[option.key] == origin


def test_an_empty_variable_counts_as_unset() -> None:
    """An empty variable, as Compose leaves behind for an unset one, changes nothing."""
    environ = {option.variable: "" for option in SETTABLE} | {"RUNSCRAPE_CONFIG": ""}
    assert configuration.load("generate", {}, environ).settings == Settings()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("label", ("team=\udcff",)),
        ("job_name", "{service}\udcff"),
        ("reload_command", "echo \udcff"),
        ("client_id", "\udcff"),
        ("client_secret_file", "/\udcff"),
        ("token_url", "http://h/\udcff"),
        ("metrics_path", "/\udcff"),
    ],
)
def test_bytes_that_are_no_text(key: str, text: object) -> None:
    """What would stand in an output or the inventory is Unicode; names of files here may not be."""
    with pytest.raises(ConfigError, match=f"^--{key.replace('_', '-')}: .*: it is no Unicode text"):
        configuration.load("generate", {"output": "\udcff.yml", key: text}, {})
    assert load(output="\udcff.yml").output == Path("\udcff.yml")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example.com", "[:::::]", "[1.2.3.4]"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("reload", "http://{}/-/reload"),
        ("token_url", "http://{}:7777/token"),
        ("api_endpoint", "{}"),
        ("api_endpoint", "https://{}:443"),
    ],
)
def test_a_host_that_cannot_be_one(key: str, text: str, host: str) -> None:
    """It is a mistake in the settings, and not a bug when it is called."""
    with pytest.raises(ConfigError, match=rf"^--{key.replace('_', '-')}: .*there is no such host"):
        load(output="p.yml", **{key: text.format(host)})


@pytest.mark.parametrize("name", ["PROJECT", "REGION", "INCLUDE", "LABEL"])
@pytest.mark.parametrize("text", [",", " ", " ,\n,"])
def test_a_variable_of_commas_is_a_mistake(name: str, text: str) -> None:
    """What "$A,$B" leaves of two unset variables would list, or keep, everything."""
    with pytest.raises(ConfigError, match=f"^RUNSCRAPE_{name}: holds commas and blanks alone"):
        configuration.load("generate", {}, {f"RUNSCRAPE_{name}": text})


def test_an_empty_config_is_a_mistake() -> None:
    """--config "$FILE" without that variable would run without the rules."""
    with pytest.raises(ConfigError, match=r"^--config: is empty: expected the path of a file$"):
        load(config="")


@pytest.mark.parametrize(
    ("projects", "labels"),
    [
        ("one,two,three", "a=b,c=d"),
        ("one two three", "a=b c=d"),
        (" one, two,\n  three,\n", "\ta=b ,, c=d"),
    ],
)
def test_a_variable_lists_several_with_commas_or_blanks(projects: str, labels: str) -> None:
    """Commas and blanks part the values of a variable; a flag is repeated and not split."""
    environ = {"RUNSCRAPE_PROJECT": projects, "RUNSCRAPE_LABEL": labels}
    settings = configuration.load("generate", {}, environ).settings
    assert settings.projects == ("one", "two", "three")
    assert settings.label == {"a": "b", "c": "d"}
    with pytest.raises(ConfigError, match="--project: 'one,two' is not a project id: give each"):
        load(project=("one,two",))


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """RUNSCRAPE_CONFIG names the file, and --config beats it."""
    for name, project in (("a.yaml", "aaa"), ("b.yaml", "bbb")):
        (tmp_path / name).write_text(f"project: {project}\n")
    environ = {"RUNSCRAPE_CONFIG": str(tmp_path / "a.yaml")}
    assert configuration.load("explain", {}, environ).settings.projects == ("aaa",)
    flags = {"config": str(tmp_path / "b.yaml")}
    assert configuration.load("explain", flags, environ).settings.projects == ("bbb",)


@pytest.mark.parametrize(
    ("name", "why"), [("missing.yaml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(name: str, why: str, tmp_path: Path) -> None:
    """A --config that is missing or a folder is a mistake, not a silent default."""
    path = tmp_path / name
    with pytest.raises(ConfigError, match=why) as caught:
        load(config=str(path))
    assert str(caught.value) == f"{path}: cannot be read: {why}"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """A file above 1 MiB is no settings file, and parsing it would take for ever."""
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="is larger than 1 MiB"):
        load(config=str(path))


def test_mistakes_of_all_sources_come_at_once(tmp_path: Path) -> None:
    """Flags, variables and file are all checked, also where something beats them."""
    path = tmp_path / "runscrape.yaml"
    path.write_text("timeout: soon\n")
    with pytest.raises(ConfigError) as caught:
        configuration.load(
            "generate", {"config": str(path), "timeout": "never"}, {"RUNSCRAPE_TIMEOUT": "later"}
        )
    places = [line.partition(" ")[0] for line in str(caught.value).splitlines()]
    assert places == ["RUNSCRAPE_TIMEOUT:", "--timeout:", f"{path}:1:"]


def test_a_strange_variable_is_a_warning_that_names_it() -> None:
    """A mistyped variable is named, with the one that was meant; the run goes on."""
    strange = {"RUNSCRAPE_MAX_REMOVE": "10", "RUNSCRAPE_BOGUS": "1"}
    loaded = configuration.load("generate", {}, strange)
    assert loaded.warnings == (
        "RUNSCRAPE_BOGUS: no such setting, ignored",
        "RUNSCRAPE_MAX_REMOVE: no such setting, ignored; did you mean 'RUNSCRAPE_MAX_REMOVED'?",
    )


def test_variables_of_the_proxy_and_of_kubernetes_are_let_be() -> None:
    """The proxy's variables, and those Kubernetes makes for a Service named runscrape, are fine."""
    environ = {
        "RUNSCRAPE_PROXY_LISTEN": "x",
        "RUNSCRAPE_SERVICE_HOST": "10.0.0.1",
        "RUNSCRAPE_SERVICE_PORT": "7777",
        "RUNSCRAPE_SERVICE_PORT_HTTP": "7777",
        "RUNSCRAPE_PORT": "tcp://10.0.0.1:7777",
        "RUNSCRAPE_PORT_7777_TCP_ADDR": "10.0.0.1",
    }
    assert configuration.load("generate", {}, environ).warnings == ()


COMBINATIONS: tuple[tuple[str, dict[str, object], str], ...] = (
    (
        "generate",
        {"watch": "5m"},
        "--watch: needs a file to write: add --output FILE or --into FILE",
    ),
    (
        "generate",
        {"dry_run": True},
        "--dry-run: needs a file to write: add --output FILE or --into FILE",
    ),
    ("generate", {"output": "-", "watch": "5m"}, "--watch: needs a file to write"),
    ("targets", {"watch": "5m"}, "--watch: needs a file to write: add --output FILE$"),
    ("targets", {"dry_run": True}, "--dry-run: needs a file to write: add --output FILE$"),
    ("generate", {"label": ("a=1", "b=1", "a=2")}, "--label: 'a' cannot be both '1' and '2'"),
    (
        "generate",
        {"vmagent_version": "1.112", "format": "scrape-configs"},
        "--vmagent-version: only matters with --format vmagent",
    ),
    ("generate", {"output": "a", "dry_run": True, "watch": "5m"}, "--dry-run: shows one run"),
    ("generate", {"reload": "http://a/-/reload"}, "--reload: needs a file to write"),
    ("generate", {"gateway_url": "http://a"}, "--gateway-url: only matters with --mode gateway"),
    ("generate", {"targets_file": "a"}, "--targets-file: only matters with --mode gateway"),
    ("generate", {"template": "a", "format": "operator"}, "--template: the operator's resources"),
    ("generate", {"into": "a", "output": "b"}, "--into: keeps a block in a file of yours"),
    ("generate", {"into": "a", "template": "b"}, "--into: keeps a block in a file of yours, which"),
    ("generate", {"into": "a", "format": "operator"}, "--into: the operator's resources"),
    (
        "generate",
        {"into": "a.yml", "reload_user": "b", "reload_password_file": "c"},
        "--reload-user: needs --reload as well",
    ),
    (
        "generate",
        {"into": "a.yml", "reload": "http://a/-/reload", "reload_user": "b"},
        "--reload-user: needs --reload-password-file as well",
    ),
    (
        "generate",
        {"into": "a.yml", "reload": "http://a/-/reload", "reload_password_file": "b"},
        "--reload-password-file: needs --reload-user as well",
    ),
    (
        "generate",
        {"mode": "gateway", "targets_from": "http", "targets_file": "a.json"},
        "--targets-file: is not read with --targets-from http",
    ),
    ("targets", {"output": "prometheus.txt"}, "--output: Prometheus reads target files only from"),
    ("targets", {"output": "a.Json"}, "--output: Prometheus reads target files only from names"),
    (
        "generate",
        {"mode": "gateway", "targets_file": "targets.txt"},
        "--targets-file: Prometheus reads target files only from names in .json",
    ),
    (
        "generate",
        {"scrape_timeout": "61s"},
        "--scrape-timeout: 61s is longer than the scrape inter",
    ),
    ("explain", {"scrape_timeout": "9s", "scrape_interval": "5s"}, "--scrape-timeout: 9s is long"),
)


@pytest.mark.parametrize(("command", "flags", "message"), COMBINATIONS)
def test_settings_that_cannot_go_together_are_refused(
    command: str, flags: dict[str, object], message: str
) -> None:
    """A combination that cannot work is one line that blames one of them and gives the remedy."""
    with pytest.raises(ConfigError) as caught:
        configuration.load(command, flags, {})
    assert f"{caught.value}$".startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["output", "into", "inventory"])
def test_the_settings_are_not_written_over(key: str, tmp_path: Path) -> None:
    """Even a file of comments alone is not what a run writes to."""
    path = tmp_path / "runscrape.yaml"
    path.write_text("# project: demo\n")
    link = tmp_path / "link.yaml"
    link.symlink_to(path.name)
    for name, other in (
        (path, path),
        (link, path),
        (path, link),
        (path, tmp_path / ".." / tmp_path.name / link.name),
    ):
        with pytest.raises(ConfigError, match=f"--{key}: would overwrite the settings themselves"):
            load(config=str(name), **{key: str(other)})


LIMITS = """\
rules:
  - match: {service: a}
    scrape_config:
      label_limit: 9
      metric_relabel_configs:
        - action: drop
        - {action: drop, if: a}
  - endpoints:
      - /a
      - path: /b
        params:
          collect[]: [x]
          two: [x, y]
          fine: [x]
    scrape_config:
      proxy_url: http://127.0.0.1:1
      oauth2:
        tls_config: {ca_file: /ca.pem}
"""


@pytest.mark.parametrize(
    ("command", "flags", "expected"),
    [
        (
            "generate",
            {},
            ["7: rules[0].scrape_config.metric_relabel_configs[1].if: Prometheus knows no if"],
        ),
        ("explain", {"mode": "gateway"}, []),
        (
            "generate",
            {"mode": "gateway"},
            [
                "3: rules[0].scrape_config: belongs in a rule without match",
                "7: rules[0].scrape_config.metric_relabel_configs[1].if: Prometheus knows no if",
                "16: rules[1].scrape_config.proxy_url: is not for --mode gateway",
                "17: rules[1].scrape_config.oauth2: is not for --mode gateway",
            ],
        ),
        (
            "generate",
            {"format": "vmagent"},
            ["4: rules[0].scrape_config.label_limit: vmagent knows label_limit from 1.145"],
        ),
        (
            "generate",
            {"format": "operator"},
            [
                "7: rules[0].scrape_config.metric_relabel_configs[1].if: --format operator cannot",
                "18: rules[1].scrape_config.oauth2.tls_config.ca_file: --format operator cannot",
            ],
        ),
        (
            "targets",
            {},
            [
                "12: rules[1].endpoints[1].params.collect[]: a target carries a parameter as",
                "13: rules[1].endpoints[1].params.two: a target carries a parameter as the label",
            ],
        ),
    ],
)
def test_rules_that_the_output_cannot_say_are_refused_at_their_lines(
    command: str, flags: dict[str, object], expected: list[str], tmp_path: Path
) -> None:
    """What the chosen format or mode has no place for is told with its line, before any listing."""
    path = tmp_path / "runscrape.yaml"
    path.write_text(LIMITS)
    try:
        configuration.load(command, {"config": str(path), **flags}, {})
        lines = []
    except ConfigError as error:
        lines = str(error).splitlines()
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"{path}:{start}")


@pytest.mark.parametrize("origin", ["file", "variable"])
@pytest.mark.parametrize(
    ("command", "name", "other"),
    [("targets", "prometheus.yml", "generate"), ("generate", "targets.json", "targets")],
)
def test_no_command_writes_over_the_output_of_the_other(
    command: str, name: str, other: str, origin: str, tmp_path: Path
) -> None:
    """An output set for all commands is not taken by the one that it cannot be meant for."""
    path = tmp_path / "runscrape.yaml"
    path.write_text(f"output: {name}\n")
    flags: dict[str, object] = {"config": str(path)} if origin == "file" else {}
    environ = {"RUNSCRAPE_OUTPUT": name} if origin == "variable" else {}
    with pytest.raises(ConfigError, match=f"may be meant for runscrape {other}: name a"):
        configuration.load(command, flags, environ)
    assert configuration.load(other, flags, environ).settings.output is not None
    by_flag = configuration.load(command, {**flags, "output": name}, environ).settings
    assert by_flag.output == Path(name)


def test_one_file_serves_every_command(tmp_path: Path) -> None:
    """A combination is checked only for commands that have the option."""
    path = tmp_path / "runscrape.yaml"
    path.write_text("watch: 5m\nreload: http://127.0.0.1:9090/-/reload\ngateway_url: http://a\n")
    assert load("explain", config=str(path)).watch == 300.0
    with pytest.raises(ConfigError, match=f"{path}:1: watch: needs a file"):
        load("generate", config=str(path))


@pytest.mark.parametrize(
    "path", [path for path in GOOD if path.stem != "json"], ids=lambda p: p.stem
)
def test_what_print_config_prints_is_a_file_that_means_the_same(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed settings, read as a file from another folder, are the settings in force."""
    monkeypatch.chdir(path.parent)
    before = configuration.load("generate", {"config": path.name}, {})
    printed = tmp_path / "printed.yaml"
    printed.write_text(printing.config("generate", before), encoding="utf-8")
    after = configuration.load("generate", {"config": str(printed)}, {})
    for item in (each for each in fields(Settings) if each.compare):
        was, now = getattr(before.settings, item.name), getattr(after.settings, item.name)
        assert now == (path.parent / was if isinstance(was, Path) else was)


def test_print_config_says_where_each_value_came_from(tmp_path: Path) -> None:
    """Each line ends in default, flag, variable or FILE:LINE; unset ones are comments."""
    path = tmp_path / "runscrape.yaml"
    path.write_text("project: demo\nrules:\n  - match: {service: a}\n    skip: true\n")
    flags = {"config": str(path), "concurrency": "4"}
    lines = printing.config(
        "generate", configuration.load("generate", flags, {"RUNSCRAPE_TIMEOUT": "5s"})
    )
    for line in (
        f'project: "demo"  # {path}:1',
        f"rules:  # {path}:2",
        f'  - {{"match": {{"service": "a"}}, "skip": true}}  # {path}:3',
        "concurrency: 4  # --concurrency",
        'timeout: "5s"  # RUNSCRAPE_TIMEOUT',
        'format: "prometheus"  # default',
        "# output: not set",
    ):
        assert line in lines.splitlines()


def test_print_config_keeps_odd_text(tmp_path: Path) -> None:
    """Text that YAML bars or would read as something else survives being printed and read."""
    odd = {"a": "\u2028\x85\x7f😀\\ \" # ' : {{ %{x}", "b": "on", "c": "1:30", "d": "- &x"}
    path = tmp_path / "runscrape.yaml"
    headers = {"X-Odd": {"values": list(odd.values())}}
    path.write_text(yaml.safe_dump({"rules": [{"scrape_config": {"http_headers": headers}}]}))
    loaded = configuration.load("explain", {"config": str(path)}, {})
    path.write_text(printing.config("explain", loaded), encoding="utf-8")
    assert load("explain", config=str(path)).rules[0].scrape_config == {"http_headers": headers}


def test_samples_cover_the_table() -> None:
    """No option goes without a test of what beats what."""
    assert set(SAMPLES) == {option.key for option in SETTABLE}
    assert BY_KEY.keys() - SAMPLES.keys() == {"rules"}
