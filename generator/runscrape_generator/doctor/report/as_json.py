"""The same for programs: one JSON object; names of causes are stable, texts are not."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor.causes import Finding
from runscrape_generator.doctor.diagnose import Diagnosis
from runscrape_generator.doctor.report.steps import steps


def as_json(diagnoses: Sequence[Diagnosis], notes: Iterable[str]) -> str:
    """Give one JSON object, in ASCII."""
    causes = Counter(each.cause.cause.name for each in diagnoses if each.cause)
    warned = Counter(found.cause.name for each in diagnoses for found in each.warnings)
    content = {
        "targets": [_target(each) for each in diagnoses],
        "causes": dict(sorted(causes.items())),
        "warnings": dict(sorted(warned.items())),
        "notes": list(notes),
        "well": len(diagnoses) - causes.total(),
        "total": len(diagnoses),
    }
    return json.dumps(content, indent=2) + "\n"


def _target(diagnosis: Diagnosis) -> dict[str, Any]:
    target = diagnosis.evidence.target
    project, region, name = target.place
    return {
        "job": target.job,
        "url": without_secrets(target.first_url),
        "instance": target.labels.get("instance", ""),
        "project": project,
        "region": region,
        "service": name,
        "well": diagnosis.cause is None,
        "cause": _finding(diagnosis.cause) if diagnosis.cause else None,
        "warnings": [_finding(each) for each in diagnosis.warnings],
        "steps": [
            {"step": step.name, "ok": step.good, "seconds": step.seconds, "seen": step.text}
            for step in steps(diagnosis.evidence)
        ],
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "name": found.cause.name,
        "title": found.cause.title,
        "seen": found.detail,
        "remedy": found.remedy,
        "commands": [shlex.join(words) for words in found.commands],
        "source": found.cause.source,
    }
