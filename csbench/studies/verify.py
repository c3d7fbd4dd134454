"""Whether a submitted results file can be believed, found out on this machine.

The form of the file, the completeness of the suite's grid, the y that every row was given, and the plausibility of the
errors are checked for all rows; a random sample of the cells is run again. Methods that search from random starts do
not give the same figures on every processor, so the tolerance is the method's own: a sampled cell is also run on
measurements that are changed by as much as rounding changes them, and the stored errors may differ from the recomputed
ones by a small multiple of what that changes.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from csbench.catalogue.registry import get_dataset
from csbench.catalogue.suites import Suite, load_suite
from csbench.core.errors import UsageError
from csbench.core.measurement import Measurement
from csbench.core.metrics import EXACT
from csbench.core.seeding import stream
from csbench.freshness.lineage import Lineage
from csbench.priors.precision import fast_bf16
from csbench.results.artefact_kinds import FLOORS
from csbench.results.schema import METRICS
from csbench.results.store import read_file
from csbench.runner.local import Limits, run_cells
from csbench.runner.plan import Cell, accepts, make_cells
from csbench.runner.problem import Problem, Truth, digest
from csbench.runner.scoring import metric_columns

RELATIVE = 1e-3  # by which errors may differ whatever the method
ROUNDING = {False: 1e-6, True: 2**-9}  # relative change of y: float32 on another processor, and bfloat16
ROUNDINGS = 3  # runs on rounded measurements; the largest change of them counts
TIMES = 3.0  # what the rounding changes
SECONDS = 3600.0  # for a cell, where the suite sets no limit
COMPARED = {"mse": 0.0, "relative_l2": 0.0, "ssim": 0.0, "measurement_error": 1e-5}  # with what may differ anyway
Place = tuple[int, float, int]  # m, noise_norm, draw
FLOOR = 0.9  # of the representation error, itself found by a search


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `fault` is None where it holds."""

    what: str
    fault: str | None = None


@dataclass(frozen=True)
class Rounded(Problem):
    """The problem with every entry of y changed by a random relative amount of this standard deviation."""

    rounding: float = 0.0
    repeat: int = 0

    def simulate(self) -> tuple[Measurement, Truth]:
        given, truth = super().simulate()
        change = self.rounding * torch.randn(given.y.shape, generator=stream("rounding", self.repeat))
        return replace(given, y=given.y * (1 + change)), truth


def verify(
    path: Path,
    sample: float = 0.05,
    seed: int | None = None,
    report: Callable[[str], None] = lambda what: None,
) -> Iterator[Check]:
    """Check one results file, `suite=NAME/method=NAME.parquet`.

    Args:
        sample: share of the cells that are run again; above 0, at least one is.
        seed: of the choice; None: nobody can foresee it.
        report: told what is being done.

    Raises:
        UsageError: no such file, suite or method.
        ResultsError: the file is damaged, of another schema, or of another version of the suite.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; results are in results/suite=NAME/method=NAME.parquet")
    suite = load_suite(path.parent.name.removeprefix("suite="))
    method = path.stem.removeprefix("method=")
    frame = read_file(path, suite).to_pandas()
    yield Check(f"{len(frame)} rows in the schema, of suite {suite.name} version {suite.version}")
    cells = make_cells(suite.narrowed(methods=(method,)))
    yield _complete(frame, cells, suite)
    yield _same_code(frame, cells, Lineage.read(path.parent.parent, suite.name))
    yield Check("every row is ok or says why not", _unexplained(frame))
    ok = frame[frame["status"] == "ok"]
    odd = int((~(np.abs(ok["psnr"] + 10 * np.log10(np.maximum(ok["mse"], EXACT))) < 1e-6)).sum())
    yield Check("metrics agree with one another", f"psnr is not -10 log10(mse) in {odd} rows" if odd else None)
    yield from _plausible(frame, cells, suite, path.parent.parent)

    report("simulating every y")
    yield _same_y(frame, cells)

    if not (frame["status"] == "ok").any():
        yield Check("some row is ok", "none is, so nothing can be run again and compared")
    solved = set(_places(frame[frame["status"] == "ok"]))
    candidates = [cell for cell in cells if _place(cell) in solved]
    count = min(len(candidates), max(1, round(sample * len(cells)))) if sample else 0
    chosen = random.Random(seed).sample(candidates, count)
    low = "diag_bf16" in frame and (bool((frame["diag_bf16"] > 0).any()) or fast_bf16(torch.device("cpu")))
    report(f"running {count} cells again")
    yield from _reproduced(frame, chosen, ROUNDING[low], Limits(suite.timeout or SECONDS))


def _place(cell: Cell) -> Place:
    return (cell.problem.m, cell.problem.noise_norm, cell.problem.draw)


def _places(frame: pd.DataFrame) -> list[Place]:
    return list(frame[["m", "noise_norm", "draw"]].itertuples(index=False, name=None))


def _rows(frame: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    here = [place == _place(cell) for place in _places(frame)]
    return pd.DataFrame(frame[here]).sort_values(by="image")


def _where(cells: list[Cell]) -> str:
    return ", ".join(cell.where for cell in cells[:5]) + (f" and {len(cells) - 5} more" if len(cells) > 5 else "")


def _complete(frame: pd.DataFrame, cells: list[Cell], suite: Suite) -> Check:
    ids = get_dataset(suite.dataset).images("test").ids
    wrong = [c for c in cells if _rows(frame, c)["image"].tolist() != sorted(ids[: c.problem.images].tolist())]
    beyond = sorted(set(_places(frame)) - {_place(cell) for cell in cells})
    fault = None
    if wrong:
        fault = f"images missing or unknown at {_where(wrong)}; run the whole suite"
    elif beyond:
        fault = f"rows at (m, noise_norm, draw) = {', '.join(map(str, beyond[:5]))}, which the suite does not have"
    return Check(f"all {len(cells)} cells of the suite, each with all its images", fault)


def _same_code(frame: pd.DataFrame, cells: list[Cell], lineage: Lineage) -> Check:
    made_by = [(c, set(_rows(frame, c)[["key", "made_by"]].itertuples(index=False, name=None))) for c in cells]
    other = [c for c, found in made_by if any(key != c.id.key or not accepts(c, one, lineage) for key, one in found)]
    told = {json.dumps(cell.method.params(), sort_keys=True) for cell in cells}
    if set(frame["params"]) - told:
        return Check("made by the method as it stands here", f"column params is not {' or '.join(told)} everywhere")
    fault = f"made by other code, parameters or weights at {_where(other)}; run the suite with this checkout"
    return Check("made by the method as it stands here", fault if other else None)


def _unexplained(frame: pd.DataFrame) -> str | None:
    silent = frame[(frame["status"] != "ok") & frame["reason"].isna()]
    numbers = np.isfinite(frame[list(METRICS)].to_numpy(dtype=float)).all(axis=1)
    valueless = frame[(frame["status"] == "ok") & ~numbers]
    if len(silent) or len(valueless):
        return f"{len(silent)} rows are not ok and give no reason, {len(valueless)} are ok and lack a finite metric"
    return None


def _plausible(frame: pd.DataFrame, cells: list[Cell], suite: Suite, results: Path) -> Iterator[Check]:
    """Two things that no method can do: see through the noise, and leave the range of its generator."""
    ok = frame[frame["status"] == "ok"]
    at = suite.axis
    n = get_dataset(suite.dataset).n
    above = pd.DataFrame({at: ok[at], "by": ok["mse"] - ok["noise_norm"] ** 2 / (ok["m"] * n)})
    low = [level for level, rows in above.groupby(at) if np.mean(rows["by"].tolist()) < 0]
    fault = f"below it at {at} = {', '.join(map(str, low))}: less than the noise costs a single unknown coefficient"
    yield Check("errors above the noise floor", fault if low else None)
    method = cells[0].method
    prior = method.params().get("prior")
    least = {row["image"]: row["mse"] for row in FLOORS.read(results, prior=str(prior), dataset=suite.dataset)}
    if method.confined_to_range and least:
        low = []
        for level, rows in ok.groupby(at):
            pairs = [(e, least[i]) for i, e in zip(rows["image"], rows["mse"], strict=True) if i in least]
            if pairs and np.mean([error for error, _ in pairs]) < FLOOR * np.mean([floor for _, floor in pairs]):
                low.append(level)
        fault = f"below it at {at} = {', '.join(map(str, low))}: no image in the range of {prior} is that near"
        yield Check(f"errors above the representation error of {prior}", fault if low else None)


def _same_y(frame: pd.DataFrame, cells: list[Cell]) -> Check:
    other = []
    for cell in cells:
        given, truth = cell.problem.simulate()
        expected = {image: digest(y) for image, y in zip(truth.ids.tolist(), given.y, strict=True)}
        rows = _rows(frame, cell)
        if any(expected.get(i) != y for i, y in zip(rows["image"], rows["y_sha256"], strict=True)):
            other.append(cell)
    return Check("every row was given the y of the suite", f"another y at {_where(other)}" if other else None)


def _reproduced(frame: pd.DataFrame, cells: list[Cell], rounding: float, limits: Limits) -> Iterator[Check]:
    """Each cell as it is, then on rounded measurements, several times, since one change may do little by chance."""
    todo = [
        replace(cell, problem=Rounded(**asdict(cell.problem), rounding=rounding if repeat else 0.0, repeat=repeat))
        for cell in cells
        for repeat in range(1 + ROUNDINGS)
    ]
    runs: dict[Place, dict[int, pd.DataFrame]] = {}
    with contextlib.closing(run_cells(todo, 1, limits)) as outcomes:
        for cell, outcome, given, truth in outcomes:
            assert isinstance(cell.problem, Rounded)
            what = f"{cell.where} run again"
            found = runs.setdefault(_place(cell), {})
            if outcome.x_hat is None:
                yield Check(what, f"{outcome.status} here: {outcome.reason}")
                continue
            columns = metric_columns(torch.from_numpy(outcome.x_hat), given, truth)
            found[cell.problem.repeat] = pd.DataFrame(columns, index=pd.Index(truth.ids))
            if len(found) == 1 + ROUNDINGS:
                stored = _rows(frame, cell)
                stored = stored[(stored["status"] == "ok") & stored["image"].isin(truth.ids.tolist())].set_index(
                    "image"
                )
                yield from _compared(what, stored, [found[repeat].loc[stored.index] for repeat in sorted(found)])


def _compared(what: str, stored: pd.DataFrame, runs: list[pd.DataFrame]) -> Iterator[Check]:
    """Stored metrics beside those of this machine: as the cell is, then on rounded measurements."""
    for name in COMPARED:
        again, *others = (run[name].to_numpy() for run in runs)
        yield _metric(f"{what}: {name}", stored[name].to_numpy(), again, others, COMPARED[name])


def _metric(what: str, stored: np.ndarray, again: np.ndarray, others: list[np.ndarray], absolute: float) -> Check:
    if not all(np.isfinite(one).all() for one in (stored, again, *others)):
        return Check(what, "an image diverges here that is ok in the file, or its stored value is not finite")
    changes = [other - again for other in others]
    differ, least = stored - again, RELATIVE * abs(again.mean()) + absolute
    spread = least + TIMES * max(np.abs(change).mean() for change in changes)
    bias = least + TIMES * max(change.std() for change in changes) / len(again) ** 0.5
    what += f" {stored.mean():.5g} stored, {again.mean():.5g} here"
    if not np.abs(differ).mean() <= spread:
        return Check(what, f"images differ by {np.abs(differ).mean():.2g} on average, by at most {spread:.2g} expected")
    if not abs(differ.mean()) <= bias:
        return Check(what, f"the mean differs by {differ.mean():+.2g}, by at most {bias:.2g} expected")
    return Check(what)
