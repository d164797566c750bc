"""The table that all benches fill: a line for each figure, with what it is held against."""

from __future__ import annotations

HEAD = ("point", "what", "ours", "the bare minimum", "ratio", "wanted", "")


def head() -> None:
    """Print the heading, once."""
    _print(HEAD)
    _print(["---"] * len(HEAD))


def row(
    point: str,
    what: str,
    ours: str,
    bare: str = "",
    *,
    ratio: float | None = None,
    wanted: str = "",
    good: bool | None = None,
) -> None:
    """Print a line; ``point`` is the requirement that it belongs to, ``good`` whether it is met."""
    verdict = {True: "ok", False: "MISSED", None: ""}[good]
    _print([point, what, ours, bare, "" if ratio is None else f"{ratio:.2f}", wanted, verdict])


def _print(cells: list[str] | tuple[str, ...]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201
