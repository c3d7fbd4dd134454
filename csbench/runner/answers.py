"""What comes back from a method's process, as bytes: a header in JSON and plain numbers. Nothing is unpickled.

A method may have replaced anything in its process, so whoever reads an answer takes it for what a stranger sends.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from csbench.core.measurement import Measurement
from csbench.results.schema import STATUSES
from csbench.runner.solving import REASON_LENGTH, Outcome

LENGTH = struct.Struct(">Q")  # of the header
HEADER = 2**18  # bytes of a header, at most
DIAGNOSTICS = 100  # at most
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # of a diagnostic, which becomes a column
SLACK = 1.0  # seconds by which a method's clock may be ahead of the keeper's
BEYOND_MEMORY = 2**40  # MB
NOT_FINITE = "y of this image is not finite, so it was given to no method"


def most_bytes(given: Measurement) -> int:
    """How large an answer to a measurement may be."""
    return LENGTH.size + HEADER + given.batch * (given.n * given.y.element_size() + 8 * DIAGNOSTICS)


def encoded(outcome: Outcome) -> bytes:
    """An outcome as bytes; what is not of the form of an outcome becomes one that says so."""
    try:
        return _encoded(outcome)
    except BaseException as error:  # arrays that are none, numbers that are none
        return _encoded(Outcome("failed", f"recover returned what is no answer: {type(error).__name__}"))


def _encoded(outcome: Outcome) -> bytes:
    arrays = []
    if outcome.x_hat is not None:
        arrays = [_plain(outcome.x_hat), *(_plain(value).astype(np.float64) for value in outcome.diagnostics.values())]
    header: dict[str, Any] = {
        "status": outcome.status,
        "reason": None if outcome.reason is None else words(outcome.reason),
        "times": [_number(outcome.wall_seconds), _number(outcome.cpu_seconds), _number(outcome.peak_memory_mb)],
        "threads": int(outcome.threads),
        "dtype": arrays[0].dtype.str if arrays else None,
        "shapes": [list(array.shape) for array in arrays],
        "diagnostics": [str(name) for name in outcome.diagnostics] if arrays else [],
    }
    head = json.dumps(header).encode()
    return b"".join([LENGTH.pack(len(head)), head, *(array.tobytes() for array in arrays)])


def _plain(value: Any) -> np.ndarray:
    if type(value) is not np.ndarray or value.dtype.kind not in "fiub":
        raise TypeError("no plain array of numbers")
    return np.ascontiguousarray(value).reshape(value.shape)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def words(text: str) -> str:
    """A reason as it may be stored: of one length, and of characters that can be encoded."""
    return str(text)[-REASON_LENGTH:].encode("utf-8", "backslashreplace").decode()[-REASON_LENGTH:]


def decoded(answer: bytes, given: Measurement, seconds: float) -> Outcome:
    """The outcome that an answer tells of, or a failed one that says what is wrong with it.

    Args:
        given: what the method was given.
        seconds: in which the answer came, on the keeper's clock.
    """
    try:
        return _decoded(answer, given, seconds)
    except Wrong as error:
        return Outcome("failed", words(f"the answer of the worker process {error}"))
    except Exception as error:  # bytes of any kind may have come
        return Outcome("failed", words(f"the answer of the worker process cannot be read ({type(error).__name__})"))


class Wrong(Exception):
    """An answer is not as it has to be."""


def _decoded(answer: bytes, given: Measurement, seconds: float) -> Outcome:
    (length,) = LENGTH.unpack_from(answer)
    if length > HEADER:
        raise Wrong(f"begins with a header of {length} bytes")
    header = json.loads(answer[LENGTH.size : LENGTH.size + length])
    status, reason, threads = header["status"], header["reason"], header["threads"]
    if status not in STATUSES:
        raise Wrong(f"has status {status!r}")
    if status != "ok":
        return Outcome(status, words(reason or "no reason was given"))
    if type(threads) is not int or not 1 <= threads < 2**15:
        raise Wrong(f"tells of {threads!r} threads")
    wall, cpu, memory = (_checked(header["times"][i], what) for i, what in enumerate(("wall", "cpu", "memory")))
    if wall > seconds + SLACK:
        raise Wrong(f"tells of {wall:g} s, and came after {seconds:g} s")
    x_hat, diagnostics = _arrays(header, memoryview(answer)[LENGTH.size + length :], given)
    return Outcome("ok", None, x_hat, diagnostics, wall, cpu, memory, threads)


def _checked(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < BEYOND_MEMORY:
        raise Wrong(f"has {value!r} where its {what} should stand")
    return float(value)


def _arrays(header: dict[str, Any], body: memoryview, given: Measurement) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    names, dtype = header["diagnostics"], torch.empty(0, dtype=given.y.dtype).numpy().dtype
    if header["dtype"] != dtype.str:
        raise Wrong(f"has an x_hat of {header['dtype']!r} where {dtype.str!r} was expected")
    shapes = [[given.batch, given.n], *([given.batch] for _ in names)]
    if header["shapes"] != shapes:
        raise Wrong(f"has arrays of shapes {header['shapes']!r} where {shapes!r} were expected")
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or names.count(name) > 1 or len(names) > DIAGNOSTICS:
            raise Wrong(
                f"has a diagnostic {name!r}; there may be {DIAGNOSTICS}, whose names are different and made of at most "
                "64 letters, digits and '_', a letter first"
            )
    of_x_hat, of_each = given.batch * given.n * dtype.itemsize, 8 * given.batch
    if len(body) != of_x_hat + of_each * len(names):
        raise Wrong(f"has {len(body)} bytes of numbers where {of_x_hat + of_each * len(names)} were expected")
    x_hat = np.frombuffer(body[:of_x_hat], dtype).reshape(given.batch, given.n).copy()
    starts = (of_x_hat + of_each * i for i in range(len(names)))
    numbers = {n: np.frombuffer(body[s : s + of_each], np.float64).copy() for n, s in zip(names, starts, strict=True)}
    return x_hat, numbers


def usable(given: Measurement) -> Measurement | None:
    """The images whose y is finite, which alone are given to methods; None where there is none."""
    whole = torch.isfinite(given.y).all(1)
    if whole.all():
        return given
    return replace(given, y=given.y[whole]) if whole.any() else None


def for_all(outcome: Outcome, given: Measurement) -> Outcome:
    """The outcome for the usable images as one for all, with NaN where y is not finite."""
    whole = torch.isfinite(given.y).all(1).numpy()
    if outcome.x_hat is None or whole.all():
        return outcome
    return replace(
        outcome,
        x_hat=_spread(outcome.x_hat, whole),
        diagnostics={name: _spread(value, whole) for name, value in outcome.diagnostics.items()},
    )


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    everything = np.full((len(where), *values.shape[1:]), np.nan, values.dtype)
    everything[where] = values
    return everything
