"""How classes, methods and suites are called on the command line, in results and in the names of files."""

from __future__ import annotations

import re

from csbench.core.errors import UsageError


def kebab(class_name: str) -> str:
    """`LassoDCT` -> `lasso-dct`, `CsgmVAE` -> `csgm-vae`, `FashionMNIST` -> `fashion-mnist`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


def checked(name: str, what: str) -> str:
    """The name itself, where it may be a file's name and stand in a list between commas.

    Args:
        what: file and field that the name is from, for the message.

    Raises:
        UsageError: it may not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(
            f"{what} must not contain anything but letters from a to z, digits, '-', '_' and '.', and must begin with "
            f"a letter or a digit, got {name!r}"
        )
    return name
