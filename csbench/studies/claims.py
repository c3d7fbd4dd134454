"""Whether what a results file says of itself can be: times, memory, sizes of batches, runs, commits and machines.

Nothing is run for it. Times are held against those of this machine where cells are run again, in
`csbench.studies.again`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from csbench.freshness.made_by import ROOT
from csbench.studies.checkouts import git
from csbench.studies.checks import Check

RUN_ID = r"[0-9a-f]{12}"
PYTHON = r"3\.(1[1-9]|[2-9]\d)\b"
COMMIT = r"[0-9a-f]{40}"
FIRST = datetime(2024, 1, 1, tzinfo=UTC)  # no run of csbench is older
AHEAD = timedelta(days=1)  # by which a clock may be wrong
BUSY = 1.1  # processor seconds for each second on the wall, with one thread; clocks differ a little
TICK = 0.1  # seconds, of clocks
SHOWN = 3  # faults of one kind that are written out

Fault = Callable[[Any], bool]


def times_and_sizes(frame: pd.DataFrame, provenance: Mapping[str, Any]) -> Check:
    """What was measured while the cells ran.

    Args:
        frame: rows of one results file.
    """
    ok = pd.DataFrame(frame[frame["status"] == "ok"])
    wall, cpu, memory, batch = (
        ok[name].to_numpy(dtype=float)
        for name in ("cell_wall_seconds", "cell_cpu_seconds", "peak_memory_mb", "batch_size")
    )
    place = ["m", "noise_norm", "draw"]
    most = np.array([_memory_mb(provenance.get(run)) for run in ok["run_id"]])
    length = np.array([_seconds(provenance.get(run)) for run in ok["run_id"]])
    images = frame.groupby(place)["image"].transform("size").loc[ok.index].to_numpy(dtype=float)
    measured = ["cell_wall_seconds", "cell_cpu_seconds", "peak_memory_mb", "batch_size", "threads", "device"]
    several = ok.groupby(place)[measured].nunique(dropna=False).max(axis=1)
    with np.errstate(invalid="ignore"):
        odd = {
            "cell_wall_seconds is not above 0": ~(np.isfinite(wall) & (wall > 0)),
            "cell_cpu_seconds is not 0 or more": ~(np.isfinite(cpu) & (cpu >= 0)),
            "one thread took more processor seconds than seconds": cpu > BUSY * wall + TICK,
            "cell_wall_seconds is longer than the run": wall > length,
            "seconds_per_image is not cell_wall_seconds / batch_size": ~np.isclose(
                ok["seconds_per_image"].to_numpy(dtype=float) * batch, wall, rtol=1e-6, atol=0
            ),
            "batch_size is not the number of images of the cell": batch != images,
            "threads is not 1, which is what a worker has": ok["threads"].to_numpy(dtype=float) != 1,
            "peak_memory_mb is not above 0, or more than the machine has": ~((memory > 0) & (memory <= most)),
        }
    faults = [f"{what} in {int(rows.sum())} rows" for what, rows in odd.items() if rows.any()]
    if int((several > 1).sum()):
        faults.append(f"rows of one cell tell different times or sizes in {int((several > 1).sum())} cells")
    return Check("times, memory and batch sizes can be", "; ".join(faults) or None)


def origin(frame: pd.DataFrame, provenance: Mapping[str, Any], now: datetime | None = None) -> Iterator[Check]:
    """Where, when and with what the rows were made.

    Args:
        provenance: run id to the facts of that run.
        now: by default the present.
    """
    runs = sorted({str(run) for run in frame["run_id"]})
    strange = [f"run_id {run!r} is not 12 hexadecimal digits" for run in runs if not re.fullmatch(RUN_ID, run)]
    strange += [f"nothing is told of run {run!r}" for run in runs if not isinstance(provenance.get(run), Mapping)]
    yield Check("every row names its run, and the file tells of it", _listed(strange))
    told = {run: provenance[run] for run in runs if isinstance(provenance.get(run), Mapping)}
    here = now or datetime.now(UTC)
    yield Check(
        "runs, machines and versions can be",
        _listed([f"run {run}: {fault}" for run, facts in told.items() for fault in _absurd(facts, here)]),
    )
    commits = {facts.get(name) for facts in told.values() for name in ("commit", "hashed_at")} - {None}
    yield _commits(sorted(map(str, commits)))


def _absurd(facts: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """What in the facts of a run cannot be; what a run may leave out is None."""
    rules: dict[str, tuple[Fault, str]] = {
        "cores": (lambda v: v is None or _within(v, 1, 2**14, whole=True), "a number of processors"),
        "jobs": (lambda v: v is None or _within(v, 1, 2**17, whole=True), "a number of workers"),
        "memory_gb": (lambda v: v is None or _within(v, 0.25, 2**17), "the memory of a machine in GB"),
        "threads_per_worker": (lambda v: v is None or v == 1, "1"),
        "python": (lambda v: isinstance(v, str) and bool(re.match(PYTHON, v)), "Python from 3.11 on"),
        "csbench": (lambda v: isinstance(v, str) and v[:1].isdigit(), "a version of csbench"),
        "cpu": (lambda v: isinstance(v, str) and bool(v.strip()), "the name of a processor"),
        "os": (lambda v: isinstance(v, str) and bool(v.strip()), "the name of a system"),
        "packages": (lambda v: isinstance(v, Mapping) and _versions(v), "versions of torch, numpy and others"),
        "commit": (lambda v: v is None or bool(re.fullmatch(COMMIT, str(v))), "40 hexadecimal digits"),
        "dirty": (lambda v: v is None or isinstance(v, bool), "true or false"),
    }  # fmt: skip
    for name, (holds, wanted) in rules.items():
        if not holds(facts.get(name)):
            yield f"{name} is {facts.get(name)!r}, not {wanted}"
    started, ended = _time(facts.get("started")), _time(facts.get("ended"))
    if started is None or not FIRST <= started <= now + AHEAD:
        yield f"started is {facts.get('started')!r}, not a time in the past"
    elif facts.get("ended") is not None and (ended is None or not started <= ended <= now + AHEAD):
        yield f"ended is {facts.get('ended')!r}, not a time between its start, {facts['started']}, and now"


def _within(value: Any, low: float, high: float, whole: bool = False) -> bool:
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return number and low <= value <= high


def _versions(packages: Mapping[str, Any]) -> bool:
    told = all(one is None or (isinstance(one, str) and one[:1].isdigit()) for one in packages.values())
    return told and all(isinstance(packages.get(name), str) for name in ("torch", "numpy"))


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _seconds(facts: Any) -> float:
    """How long a run took at most; infinity where the file does not tell, as of one that was killed."""
    if not isinstance(facts, Mapping):
        return np.inf
    started, ended = _time(facts.get("started")), _time(facts.get("ended"))
    return np.inf if started is None or ended is None else (ended - started).total_seconds() + 1 + TICK


def _memory_mb(facts: Any) -> float:
    memory = facts.get("memory_gb") if isinstance(facts, Mapping) else None
    return 1024 * memory if isinstance(memory, int | float) else np.inf


def _commits(commits: list[str]) -> Check:
    what = "the commits that the runs name are there"
    if not commits:
        return Check(f"{what}: none is named")
    if not (ROOT / ".git").exists() or git("rev-parse", "HEAD") is None:
        return Check(f"{what}: not looked for, since csbench does not run from a checkout of its own")
    lost = [
        one for one in commits if not re.fullmatch(COMMIT, one) or git("cat-file", "-e", f"{one}^{{commit}}") is None
    ]
    if lost and git("rev-parse", "--is-shallow-repository") == "true":
        return Check(f"{what}: {len(lost)} cannot be looked for in a shallow clone; git fetch --unshallow gets them")
    advice = "run the suite at a commit that is part of the pull request"
    return Check(what, f"{_listed([f'there is no commit {one}' for one in lost])}; {advice}" if lost else None)


def _is_commit(name: str) -> bool:
    return bool(re.fullmatch(COMMIT, name)) and git("cat-file", "-e", f"{name}^{{commit}}") is not None


def _listed(faults: list[str]) -> str | None:
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more if faults else None
