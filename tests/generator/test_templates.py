"""--template: the user's own file, with the jobs where the marker stands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from runscrape_generator.config.settings import Format, Mode
from runscrape_generator.errors import ConfigError, ValidationError

from .services import promtool, read_jobs, render, service

API = "cloudrun/demo/us-central1/api"
PLAIN = "scrape_configs:\n  {{ cloud_run_jobs }}\n"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return tmp_path / "prometheus.yml.j2"


def fill(template: Path, text: str, *names: str, **settings: Any) -> str:
    template.write_text(text)
    return render([service(name) for name in names or ("api",)], template=template, **settings)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "scrape_configs:\n{{ cloud_run_jobs }}\n",
        "scrape_configs:\n        {{cloud_run_jobs}}",
        "scrape_configs:\n- job_name: own\n{{ cloud_run_jobs }}\n- job_name: last\n",
        "{% if true %}\nscrape_configs:\n    {{ cloud_run_jobs -}}\n{% endif %}\n\n",
        "a: &x {b: 1}\nc: *x\nscrape_configs:\n  {{ cloud_run_jobs }}\n",
        "# {{ 100000 * 100000 }} {{ 2 ** 10 }} {{ 'ab' * 3 }} {{ 7 % 4 }}\n" + PLAIN,
        "{% set jobs = cloud_run_jobs %}scrape_configs:\n  {{ jobs | indent(2) }}\n",
    ],
)
def test_the_jobs_stand_where_the_marker_is(template: Path, text: str) -> None:
    """At whatever column, and beside whatever else, the jobs are those of the usual file."""
    found = read_jobs(fill(template, text, "api", "shop"))
    usual = read_jobs(render([service("api"), service("shop")]))
    assert {name: found[name] for name in found if name.startswith("cloudrun/")} == {
        name: usual[name] for name in usual if name.startswith("cloudrun/")
    }


def test_everything_else_is_the_users_own(template: Path) -> None:
    """What stands around the marker comes out as it went in."""
    text = "# mine\nglobal: {external_labels: {a: '${X} $1 %{Y}'}}\n" + PLAIN + "# end"
    found = fill(template, text)
    assert found.startswith("# mine\nglobal: {external_labels: {a: '${X} $1 %{Y}'}}\n")
    assert found.endswith("\n# end")
    assert "runscrape-proxy" not in found


TAKEN = """\
global: {external_labels: {since: 2024-13-45, at: 12:30:45, odd: 0x1F, on: yes, no: ~}}
scrape_configs:
- &first
  job_name: 8080
  params: {a: [b]}
  relabel_configs: [{source_labels: [a, b], separator: =, target_label: c}]
- <<: *first
  job_name: 0x10
- {<<: *first, job_name: 010, static_configs: [{targets: [!!str a:1]}]}
- &second
  job_name: 1.50
  static_configs: [{targets: ['b:1']}]
- <<: [*second, *first]
  job_name: 1.5
- job_name: yes
- job_name: 2024-02-31
{{ cloud_run_jobs }}
"""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
def test_whatever_prometheus_takes_is_taken(template: Path, tmp_path: Path) -> None:
    """Merge keys, anchors, names that look like numbers, odd dates: as Prometheus reads them."""
    text = fill(template, TAKEN)
    assert f'- job_name: "{API}"\n' in text
    checked = promtool(text, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ["8080", "1.5"])
def test_a_name_that_looks_like_a_number_is_a_name(template: Path, name: str) -> None:
    """Two jobs of one name are refused, however it is written."""
    with pytest.raises(ValidationError, match=f"'{name}' is there more than once"):
        fill(template, TAKEN + f'- job_name: "{name}"\n')


def test_times_are_written_into_the_jobs(template: Path) -> None:
    """The global block is the user's, so --scrape-interval goes into each job."""
    assert read_jobs(fill(template, PLAIN, scrape_interval="20s"))[API]["scrape_interval"] == "20s"


def test_no_jobs_leave_valid_yaml(template: Path) -> None:
    """Without a service the list is empty, or holds the user's own jobs alone."""
    template.write_text("scrape_configs:\n- job_name: own\n{{ cloud_run_jobs }}\n")
    assert list(read_jobs(render([], template=template))) == ["own"]
    template.write_text(PLAIN)
    assert yaml.safe_load(render([], template=template)) == {"scrape_configs": None}


@pytest.mark.parametrize(
    ("text", "each"),
    [("{{ cloud_run_jobs }}\n", Format.VMAGENT), (PLAIN, Format.SCRAPE_CONFIGS)],
)
def test_other_formats_take_a_template_too(template: Path, text: str, each: Format) -> None:
    """A bare list, or a mapping: whatever holds a list of jobs."""
    assert API in read_jobs(fill(template, text, format=each))


def test_the_operator_format_has_no_list_of_jobs(template: Path) -> None:
    """Resources cannot stand for a list of jobs, so the two options do not go together."""
    with pytest.raises(ConfigError, match="--format operator has resources"):
        fill(template, PLAIN, format=Format.OPERATOR)


def test_gateway_mode_is_one_job(template: Path) -> None:
    """The marker stands for the one job of the gateway."""
    assert list(read_jobs(fill(template, PLAIN, mode=Mode.GATEWAY))) == ["cloudrun"]


def test_a_template_may_include_its_neighbours(template: Path) -> None:
    """Files of the template's own folder can be included, and none outside of it."""
    (template.parent / "rest.yml").write_text("rule_files: [a.yml]\n")
    assert "rule_files" in fill(template, "{% include 'rest.yml' %}\n" + PLAIN)
    with pytest.raises(ConfigError, match=r"passwd.* cannot be read"):
        fill(template, "{% include '../../../../../../../../etc/passwd' %}\n" + PLAIN)
    with pytest.raises(ConfigError, match="cannot be read"):
        fill(template, "{% include '/etc/passwd' %}\n" + PLAIN)


MISTAKES = [
    ("a: 1\n{{ nonsense }}\n" + PLAIN, ":2: 'nonsense' is undefined"),
    ("a: 1\n\n{% if %}\n", ":3: Expected an expression, got 'end of statement block'"),
    ("{% for x in 5 %}\n{% endfor %}" + PLAIN, ":1: 'int' object is not iterable"),
    ("\n{{ 1 / 0 }}\n" + PLAIN, ":2: division by zero"),
    ("\n{{ ''.__class__.__mro__ }}\n" + PLAIN, ":2: access to attribute '__class__'"),
    ("{{ cycler.__init__.__globals__.os }}\n" + PLAIN, ":1: access to attribute '__init__'"),
    ("{{ range(999999999) | list }}\n" + PLAIN, ":1: Range too big"),
    ("scrape_configs: []\n", ": {{ cloud_run_jobs }} is missing"),
    (PLAIN + PLAIN, ": {{ cloud_run_jobs }} is there more than once"),
    ("scrape_configs: {{ cloud_run_jobs }}\n", "has to stand alone on its line"),
    ("scrape_configs:\n- {{ cloud_run_jobs }}\n", "has to stand alone on its line"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_place(template: Path, text: str, message: str) -> None:
    """A template's mistake is a ConfigError that names the file and, where there is one, the line;
    nothing of Python is within its reach.
    """
    with pytest.raises(ConfigError) as caught:
        fill(template, text)
    found = str(caught.value)
    assert found.startswith(str(template))
    assert message in found
    assert "\n" not in found


def test_a_mistake_in_an_included_file_is_told_there(template: Path) -> None:
    """The place of a mistake is the file that holds it."""
    (template.parent / "rest.yml").write_text("\n\n{{ oops }}\n")
    with pytest.raises(ConfigError, match=r"rest\.yml:3: 'oops' is undefined"):
        fill(template, "{% include 'rest.yml' %}\n" + PLAIN)


def test_a_file_that_cannot_be_read(template: Path) -> None:
    """A missing template and one that is not UTF-8 are told as what they are."""
    with pytest.raises(ConfigError, match="cannot be read"):
        render([service()], template=template)
    template.write_bytes(b"\xff\xfe" + PLAIN.encode())
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        render([service()], template=template)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scrape_configs:\n- job_name: a\n  {{ cloud_run_jobs }}\n", "is not YAML"),
        ("other:\n  {{ cloud_run_jobs }}\n", "do not read back as they were meant"),
        (f"scrape_configs:\n- job_name: {API}\n{{{{ cloud_run_jobs }}}}\n", "more than once"),
        ("x: |\n  {{ cloud_run_jobs }}\nscrape_configs: []\n", "do not read back"),
        ("scrape_configs:\n  {{ cloud_run_jobs }}\nglobal: {}\nglobal: {}\n", "a second time"),
        ("scrape_configs:\n- scheme: http\n{{ cloud_run_jobs }}\n", "without a job_name"),
        ("scrape_configs: 5\nx:\n{{ cloud_run_jobs }}\n", "has no list of scrape jobs"),
        (PLAIN + "---\na: 1\n", "has 2 YAML documents"),
        (PLAIN + "a: '\x7f'", "is not YAML"),
    ],
)
def test_jobs_that_are_lost_or_doubled_are_noticed(template: Path, text: str, message: str) -> None:
    """What the template renders has to hold each job, whole, once, where jobs belong."""
    with pytest.raises(ValidationError, match=message):
        fill(template, text)


def test_hostile_values_do_not_reach_the_template_language(template: Path) -> None:
    """The jobs are put in after rendering: braces in a name are never run."""
    name = "{{ 7 * 7 }}{% raw %}"
    found = read_jobs(fill(template, PLAIN, name))
    assert f"cloudrun/demo/us-central1/{name}" in found
