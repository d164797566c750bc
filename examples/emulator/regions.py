"""Real Cloud Run regions and the two letters that stand for each in ``NAME-HASH-uc.a.run.app``."""

from __future__ import annotations

import hashlib

# Seen in public service URLs; the rest get two letters of their own from abbreviation().
_KNOWN = {
    "asia-east1": "de",
    "asia-east2": "df",
    "asia-northeast1": "an",
    "asia-northeast2": "dt",
    "asia-northeast3": "du",
    "asia-south1": "el",
    "asia-south2": "em",
    "asia-southeast1": "as",
    "asia-southeast2": "et",
    "australia-southeast1": "ts",
    "australia-southeast2": "km",
    "europe-central2": "lm",
    "europe-north1": "lz",
    "europe-southwest1": "no",
    "europe-west1": "ew",
    "europe-west2": "nw",
    "europe-west3": "ey",
    "europe-west4": "ez",
    "europe-west6": "oa",
    "europe-west8": "oc",
    "europe-west9": "od",
    "me-west1": "zf",
    "northamerica-northeast1": "nn",
    "northamerica-northeast2": "pd",
    "southamerica-east1": "rj",
    "southamerica-west1": "tl",
    "us-central1": "uc",
    "us-east1": "ue",
    "us-east4": "uk",
    "us-east5": "ul",
    "us-south1": "vp",
    "us-west1": "uw",
    "us-west2": "wl",
    "us-west3": "wm",
    "us-west4": "wn",
}
_MORE = (
    "africa-south1",
    "asia-southeast3",
    "europe-north2",
    "europe-west10",
    "europe-west12",
    "me-central1",
    "me-central2",
    "northamerica-south1",
)

REGIONS = tuple(sorted((*_KNOWN, *_MORE)))
"""Every region name that a world may use."""


def abbreviation(region: str) -> str:
    """Two letters for *region*, the same each time."""
    if region in _KNOWN:
        return _KNOWN[region]
    digest = hashlib.sha256(region.encode()).digest()
    return "".join(chr(ord("a") + byte % 26) for byte in digest[:2])
