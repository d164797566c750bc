"""The JSON Schema of runscrape.yaml: current, valid, and of one mind with the parser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runscrape_generator.config import load as configuration
from runscrape_generator.config import schema
from runscrape_generator.config.settings import OPTIONS
from runscrape_generator.errors import ConfigError

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
GOOD = sorted((CORPUS / "good").glob("*.yaml"))
BAD = sorted((CORPUS / "bad").glob("*.yaml"))

NOT_YAML = {
    "alias",
    "complex_key",
    "control_character",
    "not_utf8",
    "syntax",
    "tab",
    "tag",
    "two_documents",
}
"""No reader makes data of these, so no schema sees them."""

BEYOND_A_SCHEMA = {
    "anchor": "how the YAML is written",
    "combinations": "settings that depend on each other",
    "duplicate_keys": "how the YAML is written",
    "endpoint_twice": "entries of a list that depend on each other",
    "labels_twice": "entries of a list that depend on each other",
    "merge_key": "how the YAML is written",
    "output_over_template": "settings that depend on each other",
    "rule_times": "durations as numbers",
}
"""What a schema cannot say."""


VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema.FILE.read_text(encoding="utf-8")))


def data(path: Path) -> Any:
    return yaml.safe_load(path.read_bytes())


def test_the_committed_schema_is_current() -> None:
    """It is what the table gives; if not: python -m runscrape_generator.config.schema."""
    assert schema.FILE.read_text(encoding="utf-8") == schema.text()


def test_the_schema_is_one() -> None:
    """It is valid itself, by its own draft."""
    jsonschema.Draft202012Validator.check_schema(schema.build())


def test_every_key_is_described() -> None:
    """An editor shows help for each key, with the words of --help."""
    properties = schema.build()["properties"]
    assert {key: value["description"] for key, value in properties.items()} == {
        option.key: option.help for option in OPTIONS
    }


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_the_schema_takes_what_the_parser_takes(path: Path) -> None:
    """No good file of the corpus is marked in an editor."""
    assert [error.message for error in VALIDATOR.iter_errors(data(path))] == []


@pytest.mark.parametrize(
    "path", [path for path in BAD if path.stem not in NOT_YAML], ids=lambda path: path.stem
)
def test_the_schema_refuses_what_the_parser_refuses(path: Path) -> None:
    """Each bad file is refused, but for mistakes that a schema cannot express, listed above."""
    assert VALIDATOR.is_valid(data(path)) == (path.stem in BEYOND_A_SCHEMA)


@pytest.mark.parametrize("name", sorted(NOT_YAML))
def test_what_is_no_yaml_is_none_for_others_either(name: str) -> None:
    """Files left out above really cannot be loaded."""
    with pytest.raises((yaml.YAMLError, UnicodeDecodeError)):
        data(CORPUS / "bad" / f"{name}.yaml")


def _lines() -> list[tuple[str, str]]:
    """Each mistake of a one-line key in the bad files, by itself."""
    found = []
    for path in BAD:
        if path.stem in NOT_YAML | BEYOND_A_SCHEMA.keys():
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            key = line.partition(":")[0]
            if key in {option.key for option in OPTIONS} - {"rules"} and ":" in line:
                found.append((path.stem, line))
    return found


@pytest.mark.parametrize(("name", "line"), _lines())
def test_schema_and_parser_agree_on_each_line(name: str, line: str, tmp_path: Path) -> None:
    """Line by line, too, so that one mistake in a file cannot hide that another is let pass."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(line + "\noutput: x\n" * (not line.startswith("output")), encoding="utf-8")
    try:
        configuration.load("explain", {"config": str(path)}, {})
        accepted = True
    except ConfigError as error:
        accepted = False
        unclear = "readers of YAML disagree" in str(error) or "longer than" in str(error)
        if unclear:
            return  # how a scalar is spelled, and what a duration comes to, no schema sees
    assert VALIDATOR.is_valid(data(path)) == accepted


def _parts() -> list[Any]:
    """Each key of each rule in the corpus, and of its scrape_config, by itself."""
    found = []
    for path in (*GOOD, *BAD):
        rules = (data(path) or {}).get("rules") if path.stem not in NOT_YAML | _NO_MAPPING else None
        for rule in (each for each in rules or () if isinstance(each, dict)):
            for key, value in rule.items():
                whole = key == "scrape_config" and isinstance(value, dict)
                parts = [{name: part} for name, part in value.items()] if whole else [value]
                found += [
                    {key: part} | ({"skip": True} if key == "match" else {}) for part in parts
                ]
    return found


_NO_MAPPING = {"not_a_mapping", "only_a_word"}


def test_schema_and_parser_agree_on_each_part_of_a_rule(tmp_path: Path) -> None:
    """Of some hundred keys of rules, good and bad, both take the same ones."""
    accepted, path = [], tmp_path / "runscrape.yaml"
    for part in _parts():
        path.write_text(yaml.safe_dump({"rules": [part]}), encoding="utf-8")
        try:
            configuration.load("explain", {"config": str(path)}, {})
            accepted.append(part)
        except ConfigError as error:
            if any(
                why in str(error) for why in ("longer than", "twice", "readers of YAML", "no text")
            ):
                continue  # nothing a schema could see
            assert not VALIDATOR.is_valid({"rules": [part]}), part
    assert len(accepted) > 20
    for part in accepted:
        assert VALIDATOR.is_valid({"rules": [part]}), part


def test_the_example_is_good() -> None:
    """examples/runscrape.yaml is read without a mistake, by parser and schema, as every command."""
    path = ROOT / "examples" / "runscrape.yaml"
    configuration.load("generate", {"config": str(path)}, {})
    assert VALIDATOR.is_valid(data(path))
    named = path.read_text().splitlines()[0].partition("$schema=")[2]
    assert (path.parent / named).resolve() == schema.FILE.resolve()
