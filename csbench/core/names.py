"""How classes, methods and suites are called on the command line, in results and in the names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from csbench.core.errors import CsbenchError, UsageError

LONGEST = 100  # letters of a name: with what stands around it, file systems take 255 bytes
SHOWN = 60  # letters of a wrong name in a message
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}  # of Windows
NO_METHOD = {"truth", "measurements"}  # what pictures are of that no method made
RESERVED = DEVICES | NO_METHOD
PLAIN = "[A-Za-z0-9][A-Za-z0-9._-]*"
PARAMETER = "[a-z][a-z0-9_]*=[A-Za-z0-9.+-]+"


def kebab(class_name: str) -> str:
    """`LassoDCT` -> `lasso-dct`, `CsgmVAE` -> `csgm-vae`, `FashionMNIST` -> `fashion-mnist`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


def checked(name: object, what: str, parameters: str = "", error: type[CsbenchError] = UsageError) -> str:
    """The name itself, where it is one: it may be a file's name anywhere, and stand in any table or list.

    All names that csbench stores or reads are held against this rule: those of methods, suites, datasets, operators,
    priors, diagnostics, columns and runs.

    Args:
        what: file and field that the name is from, for the message.
        parameters: the sign behind which parameters may follow, `KEY=VALUE,...`: ":" of operators, "~" of suites.
        error: what to raise.

    Raises:
        CsbenchError: it is no name.
    """
    if fault := fault_of(name, parameters):
        raise error(f"{what} {fault}, got {shown(name)}")
    return str(name)


def fault_of(name: object, parameters: str = "") -> str | None:
    """What is wrong with a name, to stand behind what it is of; None where nothing is."""
    pattern = f"({PLAIN})({re.escape(parameters)}{PARAMETER}(,{PARAMETER})*)?" if parameters else f"({PLAIN})"
    found = re.fullmatch(pattern, name) if isinstance(name, str) else None
    if found is None:
        behind = f"; parameters may follow it as {parameters}KEY=VALUE" if parameters else ""
        return (
            "must not contain anything but letters from a to z, digits, '-', '_' and '.', and must begin with "
            f"a letter or a digit{behind}"
        )
    if len(found[0]) > LONGEST:
        return f"must have at most {LONGEST} letters"
    if found[0].endswith("."):
        return "must not end with '.', which some systems drop"
    if found[1].partition(".")[0].lower() in RESERVED:
        return "must not be a name that is reserved"
    return None


def check_distinct(names: Iterable[str], what: str, error: type[CsbenchError] = UsageError) -> None:
    """No two names are the same but for upper and lower case, for on some systems they would be one file.

    Raises:
        CsbenchError: two are.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise error(f"{what} {shown(other)} and {shown(name)} differ in upper and lower case alone; rename one")


def shown(name: object) -> str:
    """A name that may be anything, in quotes, on one line and not too long."""
    text = ascii(name)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
