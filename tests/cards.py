"""The fields that every card has, for tests that save weights of their own."""

from __future__ import annotations

from typing import Any


def about(**fields: Any) -> dict[str, Any]:
    """What `csbench.priors.checkpoint.save` takes, with some fields of the test's own."""
    common = {
        "family": "vae",
        "dataset": "mnist",
        "measurements": "none: trained on clean images",
        "licence": "weights: MIT",
        "quality": {},
    }
    return common | fields
