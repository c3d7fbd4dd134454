"""How classes are called on the command line and in results."""

from __future__ import annotations

import re


def kebab(class_name: str) -> str:
    """`LassoDCT` -> `lasso-dct`, `CsgmVAE` -> `csgm-vae`, `FashionMNIST` -> `fashion-mnist`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()
