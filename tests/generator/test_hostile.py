"""Nothing in a service's name, labels or annotations can change the structure of any output.

Expectations are built here from what went in, and read by parsers that are not ours: PyYAML and
json for any text, Prometheus and vmagent (both Go) for a list of the worst.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runscrape_generator.config.settings import EndpointRule, Format, Mode, Rule
from runscrape_generator.errors import ValidationError
from runscrape_generator.render.yaml import from_yaml, to_json, to_yaml
from tests.kit.prometheus import fetch, prometheus
from tests.kit.vmagent import vmagent
from tests.kit.waiting import until

from .services import read_jobs, render, service, targets

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

NASTY = [
    *("", " ", "  a  ", "\t", "\n", "\r\n", "a\nb: c", "\n---\n- job_name: x", "...", "'", '"'),
    *('"\n- job_name: "x', "\\", '\\"', "\\u0041", "\\x41", "a: b", "a #b", "# x", "- x", "? x"),
    *("&a", "*a", "!!python/object:x", "!x", "|", ">", "%TAG", "@x", "`x`", "{", "}", "[", "]"),
    *(",", "{{ 7*7 }}", "{% raw %}", "{# x #}", "{{", "%{HOME}", "%{", "%%{HOME}", "\\%{HOME}"),
    *("$HOME", "${HOME}", "$$", "$1", "$(id)", "`id`", "<<", "=", "~", "null", "Null", "y", "Y"),
    *("n", "yes", "No", "on", "OFF", "true", "False", "0", "0x1f", "1e3", "1_000", "0o7", "012"),
    *("1:30", ".inf", ".nan", "2020-01-01", "1.0", "+1", "-", "\x00", "\x01", "\x07", "\x1b[31m"),
    *("\x7f", "\x80", "\x85", "\x9f", "\xa0", "\u200b", "\u2028", "\u2029", "\ufeff", "\ufffe"),
    *(
        "\uffff",
        "😀",
        "\U0010ffff",
        "é",
        "e\u0301",
        "中文",
        "\u202ertl",
        "</script>",
        "x" * 63,
        "x" * 5000,
    ),
]
"""What YAML, JSON, Jinja2, vmagent, a shell, a terminal or a browser might take for their own."""

pieces = st.sampled_from(NASTY) | st.text(max_size=8)
hostile = st.lists(pieces, max_size=4).map("".join)
keys = hostile.filter(bool)
mappings = st.dictionaries(keys, hostile, max_size=3)
params = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_]{1,9}", fullmatch=True), hostile, min_size=1, max_size=3
)

examples = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A service that is hostile in every text it has, and the settings that keep it."""
    found = service(
        draw(hostile),
        project=draw(hostile),
        region=draw(hostile),
        uid=draw(hostile),
        labels=draw(mappings),
        annotations={
            key: value
            for key, value in draw(mappings).items()
            if not key.startswith("prometheus.io/")
        },
        launch_stage=draw(hostile),
        latest_ready_revision="x" + draw(hostile),
        custom_audiences=(draw(keys),),
    )
    rule = Rule(
        skip=False,
        target="api.example.com",
        params={name: (value,) for name, value in draw(params).items()},
        labels={"extra": draw(hostile), "y": draw(hostile)},
        endpoints=(EndpointRule(path="/" + draw(hostile)),),
    )
    return found, {"rules": (rule,), "audience": "custom", "job_name": "{project}|{service}|"}


def meant(one: Any, chosen: dict[str, Any]) -> dict[str, Any]:
    """The job as data, written out here by hand."""
    (rule,) = chosen["rules"]
    (own,) = rule.endpoints
    return {
        "scheme": "https",
        "metrics_path": own.path,
        "params": {name: list(values) for name, values in rule.params.items()},
        "follow_redirects": False,
        "oauth2": {
            "client_id": "prometheus",
            "client_secret": "unused",
            "token_url": "http://127.0.0.1:7777/token",
            "endpoint_params": {"audience": one.custom_audiences[0]},
        },
        "static_configs": [
            {
                "targets": ["api.example.com:443"],
                "labels": {
                    "instance": "api.example.com",
                    "project_id": one.project,
                    "location": one.region,
                    "service_name": one.name,
                    **rule.labels,
                },
            }
        ],
    }


@examples
@given(case=cases())
def test_every_output_holds_what_went_in(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Any, dict[str, Any]]
) -> None:
    """Whatever a service is called, each output has it once, with exactly its values."""
    one, chosen = case
    for each in (Format.PROMETHEUS, Format.SCRAPE_CONFIGS, Format.VMAGENT):
        jobs_hold_what_went_in(each, one, chosen)
    resources_hold_what_went_in(one, chosen)
    for mode in Mode:
        targets_hold_what_went_in(mode, one, chosen)
    template = tmp_path_factory.getbasetemp() / "hostile.j2"
    a_template_holds_what_went_in(template, one, chosen)


def jobs_hold_what_went_in(each: Format, one: Any, chosen: dict[str, Any]) -> None:
    """Its job is one job with exactly these values."""
    data = yaml.load(text := render([one], format=each, **chosen), Loader=LOADER)
    entries = data if each is Format.VMAGENT else data["scrape_configs"]
    *own, job = entries
    assert len(own) == (2 if each is Format.PROMETHEUS else 0)
    assert job.pop("job_name").startswith(one.custom_audiences[0].removeprefix("https://"))
    assert job == meant(one, chosen)
    assert "%{" not in text


def resources_hold_what_went_in(one: Any, chosen: dict[str, Any]) -> None:
    """A ScrapeConfig holds the same values under the CRD's names, and its name stays a name."""
    text = render([one], format=Format.OPERATOR, **chosen)
    _, config = yaml.load_all(text, Loader=LOADER)
    job = meant(one, chosen)
    assert config["spec"]["metricsPath"] == job["metrics_path"]
    assert config["spec"]["params"] == job["params"]
    assert config["spec"]["staticConfigs"] == job["static_configs"]
    assert config["spec"]["oauth2"]["endpointParams"] == job["oauth2"]["endpoint_params"]
    assert config["metadata"]["name"].isascii()


def targets_hold_what_went_in(mode: Mode, one: Any, chosen: dict[str, Any]) -> None:
    """JSON, the same JSON read as YAML (as vmagent does), and YAML all hold the same values."""
    text = targets([one], mode=mode, **chosen)
    (group,) = json.loads(text)
    assert yaml.load(text, Loader=LOADER) == [group]
    as_yaml = targets([one], as_yaml=True, mode=mode, **chosen)
    assert yaml.load(as_yaml, Loader=LOADER) == [group]
    assert "%{" not in text + as_yaml
    labels = group["labels"]
    (rule,) = chosen["rules"]
    expected = {
        "project_id": one.project,
        "service_name": one.name,
        "extra": rule.labels["extra"],
        "__metrics_path__": rule.endpoints[0].path,
        "__meta_cloudrun_service_uid": one.uid,
        "__meta_cloudrun_audience": one.custom_audiences[0],
        **{f"__param_{name}": value for name, (value,) in rule.params.items()},
    }
    assert {name: labels.get(name, "") for name in expected} == expected
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in labels)
    values = {*one.labels.values(), *one.annotations.values()}
    carried = {v for k, v in labels.items() if "cloudrun_label_" in k or "cloudrun_annot" in k}
    assert carried <= values


def a_template_holds_what_went_in(path: Path, one: Any, chosen: dict[str, Any]) -> None:
    """The jobs are the same at the column of a user's marker as they are in our own file."""
    path.write_text("scrape_configs:\n      {{ cloud_run_jobs }}\n")
    (job,) = read_jobs(render([one], template=path, **chosen)).values()
    job.pop("job_name")
    assert job == meant(one, chosen)


trees = st.recursive(
    hostile | st.integers() | st.booleans() | st.floats(allow_nan=False) | st.none(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(hostile, below, max_size=3),
    max_leaves=12,
)


@examples
@given(extra=st.dictionaries(keys, trees, max_size=4))
def test_any_scrape_config_survives(extra: dict[str, Any]) -> None:
    """What a rule merges in comes out as it went in, however deep and odd."""
    rule = Rule(scrape_config={"metric_relabel_configs": [{"labels": extra}]})
    text = render([service()], format=Format.VMAGENT, rules=(rule,))
    (job,) = yaml.load(text, Loader=LOADER)
    assert job["metric_relabel_configs"] == [{"labels": extra}]


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, 10**30, 1.5, 1e20, 1e-7, 1.5e300, -0.0, float("inf"), float("-inf")),
        *(True, False, None, [], {}, [[]], [{}], [{"a": []}, "b", {}], {"a": {"b": {}}}),
        *([["a", ["b"]], {"c": "d"}], {"on": 1, "y": 2, "Null": 3, "~": 4, "": 5, "a b": 6, 7: 8}),
    ],
)
def test_every_kind_of_data_survives(value: object) -> None:
    """Numbers, nothing, and empty or nested lists and mappings keep their type and value."""
    text = to_yaml({"key": value})
    assert repr(yaml.safe_load(text)["key"]) == repr(value)
    (ours,) = from_yaml(text)
    assert repr(ours["key"]) == repr(value)


@pytest.mark.parametrize("value", [b"bytes", {1.5: "x"}, {True: "x"}, object(), {"a": {2, 3}}])
def test_what_yaml_cannot_say_plainly_is_refused(value: object) -> None:
    """A value of another kind is an error, and never its repr."""
    with pytest.raises(ValidationError):
        to_yaml({"key": value})


def test_half_a_surrogate_pair_is_refused() -> None:
    """It is no character, no reader takes it, and no file holds it."""
    with pytest.raises(ValidationError, match="half a surrogate pair"):
        render([service("a\ud800")])
    with pytest.raises(ValidationError, match="half a surrogate pair"):
        targets([service("a\ud800")])


def test_a_key_that_is_a_boolean_is_refused() -> None:
    """True is no key, though Python takes it for the 1 that is one."""
    assert to_yaml({1: "a"}) == '1: "a"'
    with pytest.raises(ValidationError, match="True cannot be a key"):
        to_yaml({True: "a"})


WORST = {f"l{index}": text for index, text in enumerate(NASTY) if text.strip("\x00")}
"""As labels of one target; 2.42 takes an empty value for a label that is not there."""
WORST_RULE = Rule(target="127.0.0.1:9", labels=WORST)


OF_A_FILE = """
- job_name: {0}
  file_sd_configs: [{{files: [{0}]}}]
"""


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_prometheus_reads_what_went_in(tmp_path: Path) -> None:
    """Prometheus' own parser and discovery find every label as it was, in a job and in a file."""
    one, folder = service("open", invoker_iam_disabled=True), tmp_path / "etc"
    folder.mkdir()
    text = render([one], rules=(WORST_RULE,), format=Format.SCRAPE_CONFIGS)
    for name in ("targets.json", "targets.yml"):
        as_yaml = name.endswith(".yml")
        (folder / name).write_text(targets([one], as_yaml=as_yaml, rules=(WORST_RULE,)))
        text += OF_A_FILE.format(name)
    (folder / "prometheus.yml").write_text(text)
    with prometheus(folder / "prometheus.yml") as address:
        found = until(lambda: active_targets(address, 3), "a target of each")
    for target in found:
        assert {name: target["labels"].get(name) for name in WORST} == WORST


def active_targets(address: str, number: int) -> list[dict[str, Any]]:
    """The targets of Prometheus or vmagent, once there are so many."""
    found: list[dict[str, Any]] = json.loads(fetch(f"{address}/api/v1/targets"))["data"][
        "activeTargets"
    ]
    return found if len(found) == number else []


@pytest.mark.parametrize("write", [to_yaml, to_json])
@pytest.mark.parametrize("code", [0xAD, 0x61C, 0x200B, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069])
def test_a_file_shows_what_it_holds(code: int, write: Callable[[object], str]) -> None:
    """What reorders or hides text on a screen is escaped: a diff shows what Prometheus reads."""
    text = f"a{chr(code)}b"
    assert chr(code) not in write([text])
    assert from_yaml(write([text])) == [[text]]


@pytest.mark.skipif(shutil.which("vmagent") is None, reason="vmagent not installed")
@pytest.mark.parametrize("mode", Mode)
def test_vmagent_reads_what_went_in(mode: Mode, tmp_path: Path) -> None:
    """vmagent, which expands %{VAR} in the bytes of jobs and target files, expands nothing."""
    one = service("open", invoker_iam_disabled=True)
    # Its API writes other characters as Go literals, which are no JSON.
    worst = {name: text for name, text in WORST.items() if text.replace("\n", "").isprintable()}
    rules = (Rule(target="127.0.0.1:9", labels=worst),)
    (tmp_path / "targets.json").write_text(targets([one], mode=mode, rules=rules))
    jobs = render([one], format=Format.VMAGENT, mode=mode, rules=rules)
    (tmp_path / "jobs.yml").write_text(jobs)
    (tmp_path / "main.yml").write_text("scrape_config_files: [jobs.yml]\n")
    with vmagent(tmp_path) as address:
        (target,) = until(lambda: active_targets(address, 1), "the target")
    assert {name: target["labels"].get(name) for name in worst} == worst
    assert target["labels"]["job"] == "cloudrun/demo/us-central1/open"
