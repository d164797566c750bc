"""Asking promtool whether Prometheus would accept the configuration.

``promtool check config`` resolves relative paths (rule_files, ca_file …) from the folder of the
file it is given, so it gets the very temporary file that is then renamed into place. Where there
is none in that folder (``--dry-run``, standard output, an output that is a symbolic link), a
folder of symbolic links to everything in there stands for it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.render.formats import FORMATS
from runscrape_generator.text import shortened

log = logging.getLogger(__name__)

TIMEOUT = 60.0
"""Seconds; promtool takes 0.2 s for 2,000 jobs."""

_LONGEST = 2000
"""Characters of what it says that are told: it has a line for each of 2,000 jobs."""

_OLDEST = "2.42"
_MISSING_FILE = re.compile(r"no such file|does not (?:exist|point to an existing file)")


@dataclass(frozen=True, slots=True)
class Promtool:
    """A promtool to ask about the configuration that is to become ``output``."""

    program: str
    output: Path | None
    """None: standard output; relative paths then count from the current folder."""
    made_for: str = ""
    """The Prometheus that the output is for."""
    syntax_only: bool = False
    """Whether the files that the configuration names may be missing here."""

    def check_file(self, temporary: Path) -> None:
        """Raise ValidationError if it refuses the file that is to be renamed to the output."""
        if temporary.parent.samefile(self._folder):
            self._check(temporary)
        else:
            self.check(temporary.read_bytes())

    def check(self, data: bytes) -> None:
        """Raise ValidationError if it refuses the content; writes nothing beside the output."""
        with stand_in(self._folder, self._name.name, data) as path:
            self._check(path)

    def _check(self, path: Path) -> None:
        """Raise ValidationError with promtool's own words if it refuses the file."""
        flags = ["--syntax-only"] if self.syntax_only else []  # Prometheus 2.33 and newer
        done = run(self.program, "check", "config", *flags, str(path), seconds=TIMEOUT)
        if done.returncode == 0:
            return
        lines = (line.strip() for line in (done.stdout + done.stderr).splitlines())
        said = " ".join(line for line in lines if line and not line.startswith("Checking "))
        said = said.replace(str(path), str(self._name))
        said = said.replace(str(path.parent), str(self._folder))
        said = shortened(said, _LONGEST) or "it said nothing"
        how = "refused the output" if done.returncode > 0 else f"died of signal {-done.returncode}"
        ways = f"it is for Prometheus {self.made_for}, --prometheus-version names another; "
        ways += f"relative paths count from {self._folder}; "
        if _MISSING_FILE.search(said) and not self.syntax_only:
            ways += "--promtool syntax leaves out files that are on another machine; "
        raise ValidationError(
            f"promtool {how}; nothing was changed: {said} ({ways}--promtool none leaves it out)"
        )

    @property
    def _name(self) -> Path:
        return self.output.absolute() if self.output else Path.cwd() / "prometheus.yml"

    @property
    def _folder(self) -> Path:
        return self._name.parent


def find(settings: Settings, *, has_told: bool = False) -> Promtool | None:
    """Find the promtool to ask; None if disabled or not installed, or if it cannot read the format.

    Raises ConfigError where the user asks for one that is missing. With ``auto`` or ``syntax`` an
    older one than ``--prometheus-version`` is not asked: it would refuse what a newer one knows.
    *has_told*: it is promtool that has told that version.
    """
    wanted, version = settings.promtool, settings.prometheus_version
    if wanted == "none" or not FORMATS[settings.format].for_promtool:
        return None
    is_named = wanted not in {"auto", "syntax"}
    program = shutil.which(wanted if is_named else "promtool")
    if program is None and wanted == "auto":
        log.debug("promtool is not installed: only our own check was made")
        return None
    if program is None:
        named = "there is no such program, or it may not be run"
        raise ConfigError(
            f"--promtool {wanted}: {named if is_named else 'promtool is not installed'}: "
            "install it, or leave the check to us alone with --promtool none"
        )
    if is_named:
        program = wanted
    elif not has_told and version != _OLDEST and _is_older(program, version):
        log.debug(f"{program} is older than Prometheus {version}: not asked")
        return None
    syntax_only = wanted == "syntax"
    return Promtool(program, settings.output_path, version, syntax_only=syntax_only)


def _is_older(program: str, wanted: str) -> bool:
    said = run(program, "--version", seconds=TIMEOUT)
    match = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    asked = re.match(r"(\d+)\.(\d+)", wanted)
    if match is None or asked is None:
        return False
    return tuple(map(int, match.groups())) < tuple(map(int, asked.groups()))


def run(program: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run promtool, and give what it said; ValidationError where it cannot be run, or hangs."""
    try:
        return subprocess.run(  # noqa: S603 - promtool, as found or as named by the user
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"took more than {seconds:g} s"
    except OSError as error:
        why = f"cannot be run: {error.strerror}"
    raise ValidationError(f"{program} {why}; nothing was changed. --promtool none leaves it out")


@contextmanager
def stand_in(folder: Path, name: str, data: bytes) -> Iterator[Path]:
    """Give a file with ``data`` in a folder that shows everything that ``folder`` holds."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="runscrape-")
    except OSError as error:
        raise ValidationError(
            f"promtool needs a file to read, and there is no place for one: {error}; "
            "set TMPDIR, or leave promtool out with --promtool none"
        ) from error
    with temporary:
        path = Path(temporary.name) / name
        with contextlib.suppress(PermissionError):  # then relative paths are not found
            for entry in folder.iterdir():
                if entry.name != name:
                    (path.parent / entry.name).symlink_to(entry.absolute())
        path.write_bytes(data)
        yield path
