"""The words of this field: what a project, a region, a URL, a label or a path may look like.

Sources: Cloud Run and Resource Manager for names, Prometheus for label names, paths and versions,
RFC 3986 for URLs. Each is a :class:`~runscrape_generator.config.kinds.Kind`.
"""

from __future__ import annotations

from collections.abc import Mapping

from runscrape_generator.config import durations
from runscrape_generator.config.kinds import Kind, list_of, mapping_of, text
from runscrape_generator.config.values import Mistakes, Value

_PLAIN = r"[^\x00-\x1f\x7f]"
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_AUTHORITY = f"{_HOST}(?::{_PORT})?"
_PATH = r"(?:/[^\x00-\x20\x7f?#]*)"
_POSITIVE_DURATION = f"(?=.*[1-9]){durations.PATTERN}"


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


def _duration(word: str) -> str:
    durations.parse(word)
    return word


TEXT = text("text without control characters", f"{_PLAIN}+")

PROJECT = text(
    "a project id",
    r"(?:[a-z0-9.-]+:)?[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
    metavar="PROJECT",
    hint=_project_hint,
)
REGION = text(
    "a region such as us-central1",
    "[a-z]+(?:-[a-z0-9]+)*-[a-z]*[0-9]+",
    metavar="REGION",
    hint=_region_hint,
)


def glob(what: str, characters: str) -> Kind:
    """A shell-style glob on names that hold only *characters* (inside of a regexp's brackets)."""
    pattern = rf"(?:[*?{characters}]|\[!?[{characters}]+\])+"
    return text(f"a glob on {what}", pattern, metavar="GLOB", hint=_glob_hint)


SERVICE_GLOB = glob("service names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")
REGION_GLOB = glob("region names (a-z, 0-9, -, *, ?, [...])", "a-z0-9-")
PROJECT_GLOB = glob("project ids (a-z, 0-9, - . :, *, ?, [...])", "a-z0-9.:-")

DURATION = text(
    "a duration above zero such as 30s, 5m or 1h30m",
    _POSITIVE_DURATION,
    metavar="DURATION",
    convert=_duration,
)
SECONDS = text(
    "a duration above zero such as 30s, 5m or 1h30m",
    _POSITIVE_DURATION,
    metavar="DURATION",
    convert=durations.parse,
)

TOKEN_URL = text(
    "a URL such as http://127.0.0.1:7777/token",
    f"https?://{_AUTHORITY}{_PATH}?",
    metavar="URL",
    hint=_url_hint,
)
GATEWAY_URL = text(
    "a URL such as http://127.0.0.1:7777, without a path",
    f"https?://{_AUTHORITY}/?",
    metavar="URL",
    hint=_url_hint,
)
RELOAD_URL = text(
    "a URL such as http://127.0.0.1:9090/-/reload",
    f"https?://{_AUTHORITY}{_PATH}?/-/reload",
    metavar="URL",
    hint=_url_hint,
)
API_ENDPOINT = text(
    "an endpoint such as run.example.com, HOST:PORT or http://127.0.0.1:8080",
    f"(?:https?://)?{_AUTHORITY}/?",
    metavar="ENDPOINT",
)
HOST_PORT = text(
    "a host such as api.example.com, or HOST:PORT",
    _AUTHORITY,
    metavar="HOST[:PORT]",
    hint=lambda word: ": leave the scheme and the path out" if "/" in word else "",
)
METRICS_PATH = text(
    "a path such as /metrics, without query or spaces",
    _PATH,
    metavar="PATH",
    hint=lambda word: ": begin with /" if not word.startswith("/") else "",
)
AUDIENCE = text("an audience (text without spaces)", r"[^\x00-\x20\x7f]+", metavar="AUDIENCE")
CREDENTIALS_NAME = text(
    "the name of a file in the proxy's --gateway-credentials, without its folder",
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}",
)
JOB_NAME = text(
    "a job name with no other placeholders than {project}, {region} and {service}",
    r"(?:[^{}\x00-\x1f\x7f]|\{(?:project|region|service)\})+",
)
CLIENT_ID = text(
    "a client id (text without a colon, which HTTP Basic cannot carry)", r"[^\x00-\x1f\x7f:]+"
)
VERSION = text(
    "a Prometheus version such as 2.42 or 3.5, 2.27 at least",
    r"(?:2\.(?:2[7-9]|[3-9][0-9])|[3-9]\.[0-9]{1,3})(?:\.[0-9]{1,3})?",
    metavar="VERSION",
)

LABEL_NAME = text(
    "a label name that a rule may set",
    "(?!__)(?!job$)[a-zA-Z_][a-zA-Z0-9_]*",
    hint=_label_hint,
)
PARAM_NAME = text("a parameter name without spaces", r"[^\x00-\x20\x7f]+")
_RUN_LABEL_KEY = r"[^\s=A-Z/.\x00-\x20\x7f]{1,63}"
RUN_LABEL_KEY = text("the key of a Cloud Run label", _RUN_LABEL_KEY, metavar="KEY", hint=_glob_hint)
_RUN_LABEL = text(
    "a label such as team=payments", rf"{_RUN_LABEL_KEY}=[^\s=A-Z/.\x00-\x20\x7f]{{0,63}}"
)
RUN_LABEL_VALUE = text(
    "the value of a Cloud Run label (lower case, 63 characters at most)",
    r"[^\s=A-Z/.\x00-\x20\x7f]{1,63}",
    metavar="VALUE",
    hint=_glob_hint,
)

LABEL_VALUES = mapping_of(TEXT, LABEL_NAME)
PARAMS = mapping_of(list_of(TEXT, least=1), PARAM_NAME)
RUN_LABEL_GLOBS = mapping_of(TEXT, RUN_LABEL_KEY)


def _run_labels() -> Kind:
    """Labels that a service must carry: a mapping, or texts such as ``KEY=VALUE``."""
    pairs, pair_list = mapping_of(RUN_LABEL_VALUE, RUN_LABEL_KEY), list_of(_RUN_LABEL)

    def read(value: Value, mistakes: Mistakes) -> object:
        if isinstance(value.data, Mapping):
            return pairs.read(value, mistakes)
        texts = pair_list.read(value, mistakes)
        return dict(each.split("=", 1) for each in texts if each is not None)

    return Kind(
        metavar="KEY=VALUE",
        read=read,
        schema={"anyOf": [pairs.schema, pair_list.schema]},
        from_text=pair_list.from_text,
        repeatable=True,
    )


RUN_LABELS = _run_labels()


def file(*, dash: bool = False) -> Kind:
    """The path of a file; relative to the folder of the file it stands in, or to the current one.

    With *dash*, ``-`` stands for none (standard output).
    """
    inner = text(
        "the path of a file",
        rf"{_PLAIN}*[^/\x00-\x1f\x7f]",
        metavar="FILE",
        hint=lambda word: ": it names a folder" if word.endswith("/") else "",
    )

    def read(value: Value, mistakes: Mistakes) -> object:
        name = inner.read(value, mistakes)
        return None if name is None or (dash and name == "-") else value.base / name

    def show(value: Value) -> object:
        return None if dash and value.data == "-" else str((value.base / value.data).absolute())

    return Kind(metavar=inner.metavar, read=read, schema=inner.schema, show=show)


def _promtool() -> Kind:
    """``auto``, ``none``, a command's name, or a path (then relative as for :func:`file`)."""
    inner = text("auto, none or the path of promtool", rf"{_PLAIN}*[^/\x00-\x1f\x7f]")

    def read(value: Value, mistakes: Mistakes) -> object:
        name = inner.read(value, mistakes)
        return str(value.base / name) if isinstance(name, str) and "/" in name else name

    def show(value: Value) -> object:
        is_path = "/" in value.data
        return str((value.base / value.data).absolute()) if is_path else value.data

    return Kind(metavar="auto|none|PATH", read=read, schema=inner.schema, show=show)


PROMTOOL = _promtool()
