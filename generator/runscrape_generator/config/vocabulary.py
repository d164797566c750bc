"""The words of this field: what a project, a region, a URL, a label or a path may look like.

Sources: Cloud Run and Resource Manager for names, Prometheus for label names, paths and versions,
RFC 3986 for URLs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from runscrape_generator.config import durations
from runscrape_generator.config.fields import OneOrMany, Pairs, Switch, Text

_PLAIN = r"[^\x00-\x1f\x7f]"
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_AUTHORITY = f"{_HOST}(?::{_PORT})?"
_PATH = r"(?:/[^\x00-\x20\x7f?#]*)"
_FILE = rf"{_PLAIN}*[^/\x00-\x1f\x7f]"


def _region_hint(word: str) -> str:
    if word == "-":
        return ": name regions one by one, or none to list every region"
    return f": did you mean the region {word[:-2]!r}?" if word[-2:-1] == "-" else ""


def _project_hint(word: str) -> str:
    if word.isdigit():
        return ", but looks like a project's number: give its id"
    return ": give each project by itself" if "," in word else ""


def _glob_hint(word: str) -> str:
    return ": names are in lower case" if word != word.lower() else ""


def _url_hint(word: str) -> str:
    if "@" in word:
        return ": leave user and password out, they would show in files and process lists"
    return "" if word.startswith(("http://", "https://")) else ": begin with http:// or https://"


def _label_hint(word: str) -> str:
    if word == "job":
        return ": the rule's 'job' sets it"
    if word.startswith("__"):
        return ": names beginning with __ are Prometheus' own"
    return ": letters, digits and _, no digit first"


def _target_hint(word: str) -> str:
    return ": leave the scheme and the path out" if "/" in word else ""


def _path_hint(word: str) -> str:
    return "" if word.startswith("/") else ": begin with /"


def _file_hint(word: str) -> str:
    return ": it names a folder" if word.endswith("/") else ""


def _duration(word: str, _base: Path) -> str:
    durations.parse(word)
    return word


def _seconds(word: str, _base: Path) -> float:
    return durations.parse_wait(word)


def _file(name: str, base: Path) -> Path:
    return base / name


def _file_or_stdout(name: str, base: Path) -> Path | None:
    return None if name == "-" else base / name


def _program(name: str, base: Path) -> str:
    return str((base / name).absolute()) if "/" in name else name


def _glob(what: str, characters: str) -> Text:
    """A shell-style glob on names that hold only *characters* (as in a regexp's brackets)."""
    pattern = rf"(?:[*?{characters}]|\[!?[{characters}]+\])+"
    return Text(f"a glob on {what}", pattern, metavar="GLOB", hint=_glob_hint)


OnOff = Annotated[bool, Switch()]
PlainText = Annotated[str, Text("text without control characters", f"{_PLAIN}+")]

# Google's names
Project = Annotated[
    str,
    Text(
        "a project id",
        r"(?:[a-z0-9.-]+:)?[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
        metavar="PROJECT",
        hint=_project_hint,
    ),
]
ResourceId = Annotated[
    str,
    Text("an id, which is a number such as 123456789012", "[0-9]{1,20}", metavar="ID"),
]
"""Of an organization or a folder."""
Region = Annotated[
    str,
    Text(
        "a region such as us-central1",
        "[a-z]+(?:-[a-z0-9]+)*-[a-z]*[0-9]+",
        metavar="REGION",
        hint=_region_hint,
    ),
]
ServiceGlob = Annotated[str, _glob("service names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")]
RegionGlob = Annotated[str, _glob("region names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")]
ProjectGlob = Annotated[str, _glob("project ids (a-z, 0-9, - . :, *, ?, [...])", "a-z0-9.:-")]
Projects = Annotated[tuple[Project, ...], OneOrMany()]
ResourceIds = Annotated[tuple[ResourceId, ...], OneOrMany()]
Regions = Annotated[tuple[Region, ...], OneOrMany()]
ServiceGlobs = Annotated[tuple[ServiceGlob, ...], OneOrMany()]

# Labels of Cloud Run
_KEY = r"[^\s=A-Z/.\x00-\x20\x7f]{1,63}"
_VALUE = r"[^\s=A-Z/.\x00-\x20\x7f]{0,63}"
_KEY_IN_BRACES = r"[^\s=A-Z/.{}\x00-\x20\x7f]{1,63}"
RunLabelKey = Annotated[
    str, Text("the key of a Cloud Run label", _KEY, metavar="KEY", hint=_glob_hint)
]
_RunLabelValue = Annotated[
    str,
    Text(
        "the value of a Cloud Run label (lower case, 63 characters at most)",
        _VALUE,
        hint=_glob_hint,
    ),
]
_RunLabel = Annotated[
    str, Text("a label such as team=payments", f"{_KEY}={_VALUE}", metavar="KEY=VALUE")
]
_RunLabelTexts = Annotated[tuple[_RunLabel, ...], OneOrMany()]
RunLabels = Annotated[dict[RunLabelKey, _RunLabelValue], Pairs(_RunLabelTexts)]
RunLabelGlobs = dict[RunLabelKey, PlainText]

# Times
_ABOVE_ZERO = f"(?=.*[1-9]){durations.PATTERN}"
_DURATION = "a duration above zero such as 30s, 5m or 1h30m"
Duration = Annotated[str, Text(_DURATION, _ABOVE_ZERO, metavar="DURATION", convert=_duration)]
"""As Prometheus writes it, for what goes into its configuration."""
Seconds = Annotated[float, Text(_DURATION, _ABOVE_ZERO, metavar="DURATION", convert=_seconds)]
"""Written the same, for what runscrape waits itself."""

# Addresses
TokenUrl = Annotated[
    str,
    Text(
        "a URL such as http://127.0.0.1:7777/token",
        f"https?://{_AUTHORITY}{_PATH}?",
        metavar="URL",
        hint=_url_hint,
    ),
]
GatewayUrl = Annotated[
    str,
    Text(
        "a URL such as http://127.0.0.1:7777, without a path",
        f"https?://{_AUTHORITY}/?",
        metavar="URL",
        hint=_url_hint,
    ),
]
ReloadUrl = Annotated[
    str,
    Text(
        "a URL such as http://127.0.0.1:9090/-/reload",
        f"https?://{_AUTHORITY}{_PATH}?/-/reload",
        metavar="URL",
        hint=_url_hint,
    ),
]
ApiEndpoint = Annotated[
    str,
    Text(
        "an endpoint such as run.example.com, HOST:PORT or http://127.0.0.1:8080",
        f"(?:https?://)?{_AUTHORITY}/?",
        metavar="ENDPOINT",
    ),
]
Target = Annotated[
    str,
    Text(
        "a host such as api.example.com, or HOST:PORT",
        _AUTHORITY,
        metavar="HOST[:PORT]",
        hint=_target_hint,
    ),
]
Audience = Annotated[
    str, Text("an audience (text without spaces)", r"[^\x00-\x20\x7f]+", metavar="AUDIENCE")
]

# Jobs
MetricsPath = Annotated[
    str,
    Text(
        "a path such as /metrics, without query or spaces", _PATH, metavar="PATH", hint=_path_hint
    ),
]
JobName = Annotated[
    str,
    Text(
        "a job name with no other placeholders than {project}, {region} and {service}",
        r"(?:[^{}\x00-\x1f\x7f]|\{(?:project|region|service)\})+",
    ),
]
ClientId = Annotated[
    str,
    Text(
        "a client id (text without a colon, which HTTP Basic cannot carry)", r"[^\x00-\x1f\x7f:]+"
    ),
]
CredentialsName = Annotated[
    str,
    Text(
        "the name of a file in the proxy's --gateway-credentials, without its folder",
        r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}",
    ),
]
PrometheusVersion = Annotated[
    str,
    Text(
        "auto or a Prometheus version such as 2.42 or 3.5, 2.27 at least",
        r"auto|(?:2\.(?:2[7-9]|[3-9][0-9])|[3-9]\.[0-9]{1,3})(?:\.[0-9]{1,3})?",
        metavar="auto|VERSION",
    ),
]
VmagentVersion = Annotated[
    str,
    Text(
        "a vmagent version such as 1.112, 1.79 at least",
        r"1\.(?:79|[89][0-9]|[1-9][0-9]{2})(?:\.[0-9]{1,3})?",
        metavar="VERSION",
    ),
]
_LabelName = Annotated[
    str,
    Text(
        "a label name that a rule may set",
        "(?!__)(?!job$)[a-zA-Z_][a-zA-Z0-9_]*",
        hint=_label_hint,
    ),
]
_LabelValue = Annotated[
    str,
    Text(
        "text with no other placeholders than {project}, {region}, {service} and {label.KEY}",
        rf"(?:[^{{}}\x00-\x1f\x7f]|\{{(?:project|region|service|label\.{_KEY_IN_BRACES})\}})+",
    ),
]
Labels = dict[_LabelName, _LabelValue]
_ParamName = Annotated[str, Text("a parameter name without spaces", r"[^\x00-\x20\x7f]+")]
_ParamValues = Annotated[tuple[PlainText, ...], Field(min_length=1), OneOrMany()]
Params = dict[_ParamName, _ParamValues]

# Files, relative to the folder of the file that names them
File = Annotated[
    Path, Text("the path of a file", _FILE, metavar="FILE", convert=_file, hint=_file_hint)
]
FileOrStdout = Annotated[
    Path | None,
    Text("the path of a file", _FILE, metavar="FILE", convert=_file_or_stdout, hint=_file_hint),
]
Promtool = Annotated[
    str,
    Text(
        "auto, syntax, none or the path of promtool",
        _FILE,
        metavar="auto|syntax|none|PATH",
        convert=_program,
    ),
]
