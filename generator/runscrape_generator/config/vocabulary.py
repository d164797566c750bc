"""The words of this field: what a project, a region, a URL, a label or a path may look like.

Sources: Cloud Run and Resource Manager for names, Prometheus for label names, paths and versions,
RFC 3986 for URLs.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from runscrape_generator.config import durations
from runscrape_generator.config.fields import OneOrMany, Pairs, Switch, Text
from runscrape_generator.config.messages import quoted

_PLAIN = r"[^\x00-\x1f\x7f]"
_NOT_BLANK = "(?=.*[^ ])"
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_AUTHORITY = f"{_HOST}(?::{_PORT})?"
_PATH = r"(?:/(?:[^\x00-\x20\x7f?#%]|%[0-9A-Fa-f]{2})*)"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_FILE = rf"{_NOT_BLANK}(?!~[^/]*/){_PLAIN}*[^/\x00-\x1f\x7f]"


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
    if not word.startswith("/"):
        return ": begin with /"
    if _LONE_PERCENT.search(word):
        return ": two hexadecimal digits have to follow a %, which Prometheus encodes again"
    return ""


def _file_hint(word: str) -> str:
    if word.startswith("~"):
        return ": only a shell knows what ~ stands for, so write the folder out"
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
    return Text(f"a glob on {what}", pattern, "GLOB", hint=_glob_hint)


OnOff = Annotated[bool, Switch()]
PlainText = Annotated[str, Text("text without control characters", f"{_PLAIN}+")]
ShellCommand = Annotated[str, Text("a command on one line", f"{_NOT_BLANK}{_PLAIN}+")]

# Google's names
_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGION = "[a-z]+(?:-[a-z0-9]+)*-[a-z]*[0-9]+"
_NUMBER = "an id, which is a number such as 123456789012"
Project = Annotated[str, Text("a project id", _PROJECT, "PROJECT", hint=_project_hint)]
Region = Annotated[str, Text("a region such as us-central1", _REGION, "REGION", hint=_region_hint)]
ResourceId = Annotated[str, Text(_NUMBER, "[0-9]{1,20}", "ID")]
"""Of an organization or a folder."""
ServiceGlob = Annotated[str, _glob("service names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")]
RegionGlob = Annotated[str, _glob("region names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")]
ProjectGlob = Annotated[str, _glob("project ids (a-z, 0-9, - . :, *, ?, [...])", "a-z0-9.:-")]
Projects = Annotated[tuple[Project, ...], OneOrMany()]
ResourceIds = Annotated[tuple[ResourceId, ...], OneOrMany()]
Regions = Annotated[tuple[Region, ...], OneOrMany()]
ServiceGlobs = Annotated[tuple[ServiceGlob, ...], OneOrMany()]

# Labels of Cloud Run
_KEY, _VALUE = r"[^\s=A-Z/.\x00-\x20\x7f]{1,63}", r"[^\s=A-Z/.\x00-\x20\x7f]{0,63}"
_LABEL_VALUE = "the value of a Cloud Run label (lower case, 63 characters at most)"
RunLabelKey = Annotated[str, Text("the key of a Cloud Run label", _KEY, "KEY", hint=_glob_hint)]
_RunLabelValue = Annotated[str, Text(_LABEL_VALUE, _VALUE, hint=_glob_hint)]
_RunLabel = Annotated[str, Text("a label such as team=payments", f"{_KEY}={_VALUE}", "KEY=VALUE")]
_RunLabelTexts = Annotated[tuple[_RunLabel, ...], OneOrMany()]
RunLabels = Annotated[dict[RunLabelKey, _RunLabelValue], Pairs(_RunLabelTexts)]
RunLabelGlobs = dict[RunLabelKey, PlainText]

# Times
_ABOVE_ZERO = f"(?=.*[1-9]){durations.PATTERN}"
_DURATION = "a duration above zero such as 30s, 5m or 1h30m"
Duration = Annotated[str, Text(_DURATION, _ABOVE_ZERO, "DURATION", _duration)]
"""As Prometheus writes it, for what goes into its configuration."""
Seconds = Annotated[float, Text(_DURATION, _ABOVE_ZERO, "DURATION", _seconds)]
"""Written the same, for what runscrape waits itself."""


# Addresses
def _with_host(word: str, _base: Path) -> str:
    """Refuse a host at which Python's libraries stumble, in place of failing as a call does."""
    try:
        host = urlsplit(word if "://" in word else f"//{word}").hostname or ""
        if "[" in word:
            IPv6Address(host)
        host.encode("idna")
    except ValueError:
        raise ValueError(
            f"{quoted(word)}: there is no such host: a part of its name is empty or longer than 63 "
            "characters, or what is in brackets is no IPv6 address"
        ) from None
    return word


def _url(example: str, after_the_host: str) -> Text:
    pattern = f"https?://{_AUTHORITY}{after_the_host}"
    return Text(f"a URL such as {example}", pattern, "URL", _with_host, _url_hint)


_ENDPOINT = "an endpoint such as run.example.com, HOST:PORT or http://127.0.0.1:8080"
_TARGET = "a host such as api.example.com, or HOST:PORT"
TokenUrl = Annotated[str, _url("http://127.0.0.1:7777/token", f"{_PATH}?")]
GatewayUrl = Annotated[str, _url("http://127.0.0.1:7777, without a path", "/?")]
ReloadUrl = Annotated[str, _url("http://127.0.0.1:9090/-/reload", f"{_PATH}?/-/reload")]
ApiEndpoint = Annotated[
    str, Text(_ENDPOINT, f"(?:https?://)?{_AUTHORITY}/?", "ENDPOINT", _with_host)
]
Target = Annotated[str, Text(_TARGET, _AUTHORITY, "HOST[:PORT]", _with_host, _target_hint)]
Audience = Annotated[str, Text("an audience (text without spaces)", r"[^\x00-\x20\x7f]+")]

# Jobs
_METRICS_PATH = "a path such as /metrics, without query or spaces"
_JOB = "a job name with no other placeholders than {project}, {region} and {service}"
_FILLED = "text with no other placeholders than {project}, {region}, {service} and {label.KEY}"
_OF_SERVICE = r"[^{}\x00-\x1f\x7f]|\{(?:project|region|service)\}"
_OF_LABEL = r"\{label\.[^\s=A-Z/.{}\x00-\x20\x7f]{1,63}\}"
_CREDENTIALS = "the name of a file in the proxy's --gateway-credentials, without its folder"
MetricsPath = Annotated[str, Text(_METRICS_PATH, _PATH, "PATH", hint=_path_hint)]
JobName = Annotated[str, Text(_JOB, f"{_NOT_BLANK}(?:{_OF_SERVICE})+")]
CredentialsName = Annotated[str, Text(_CREDENTIALS, "[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")]
_LABEL_NAME = "(?!__)(?!job$)[a-zA-Z_][a-zA-Z0-9_]*"
_LabelName = Annotated[str, Text("a label name that a rule may set", _LABEL_NAME, hint=_label_hint)]
_LabelValue = Annotated[str, Text(_FILLED, f"(?:{_OF_SERVICE}|{_OF_LABEL})+")]
Labels = dict[_LabelName, _LabelValue]
_ParamName = Annotated[str, Text("a parameter name without spaces", r"[^\x00-\x20\x7f]+")]
_ParamValues = Annotated[tuple[PlainText, ...], Field(min_length=1), OneOrMany()]
Params = dict[_ParamName, _ParamValues]

# Those who read the output
_CLIENT_ID = "a client id (text without a colon, which HTTP Basic cannot carry)"
_RELEASE = "auto or a Prometheus version such as 2.42 or 3.5, 2.27 at least"
_PROMETHEUS = r"auto|(?:2\.(?:2[7-9]|[3-9][0-9])|[3-9]\.[0-9]{1,3})(?:\.[0-9]{1,3})?"
_VMAGENT = r"1\.(?:79|[89][0-9]|[1-9][0-9]{2})(?:\.[0-9]{1,3})?"
_VMAGENT_RELEASE = "a vmagent version such as 1.112, 1.79 at least"
_RELOAD_USER = "a user (text without a colon, which HTTP Basic cannot carry)"
_NO_COLON = rf"{_NOT_BLANK}[^\x00-\x1f\x7f:]+"
ClientId = Annotated[str, Text(_CLIENT_ID, _NO_COLON)]
ReloadUser = Annotated[str, Text(_RELOAD_USER, _NO_COLON)]
PrometheusVersion = Annotated[str, Text(_RELEASE, _PROMETHEUS, "auto|VERSION")]
VmagentVersion = Annotated[str, Text(_VMAGENT_RELEASE, _VMAGENT, "VERSION")]

# Files, relative to the folder of the file that names them
_A_FILE, _PROMTOOL = "the path of a file", "auto, syntax, none or the path of promtool"
File = Annotated[Path, Text(_A_FILE, _FILE, "FILE", _file, _file_hint, any_bytes=True)]
FileOrStdout = Annotated[
    Path | None, Text(_A_FILE, _FILE, "FILE", _file_or_stdout, _file_hint, any_bytes=True)
]
FileElsewhere = Annotated[str, Text(_A_FILE, _FILE, "FILE", None, _file_hint)]
"""As Prometheus will see it."""
Promtool = Annotated[
    str, Text(_PROMTOOL, _FILE, "auto|syntax|none|PATH", _program, _file_hint, any_bytes=True)
]
