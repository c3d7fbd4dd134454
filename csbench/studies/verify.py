"""Whether a submitted results file can be believed, found out on this machine.

The form of the file, the completeness of the suite's grid, the y that every row was given, the plausibility of errors,
times and origin are checked for all rows, and the source of the method is read. A random sample of the cells is run
again, as `csbench.studies.again` says; that costs at most twice what these cells take.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from csbench.catalogue.registry import get_dataset
from csbench.catalogue.suites import Suite, load_suite
from csbench.core.errors import UsageError
from csbench.core.metrics import EXACT
from csbench.freshness.lineage import Lineage
from csbench.priors.precision import fast_bf16
from csbench.results.artefact_kinds import FLOORS
from csbench.results.schema import METRICS
from csbench.results.store import read_file, read_provenance
from csbench.runner.limits import Limits
from csbench.runner.plan import Cell, accepts, make_cells
from csbench.runner.problem import digest
from csbench.studies.again import run_again
from csbench.studies.checks import Check
from csbench.studies.claims import origin, times_and_sizes
from csbench.studies.sight import forbidden

ROUNDING = {False: 1e-6, True: 2**-9}  # relative change of y: float32 on another processor, and bfloat16
SECONDS = 3600.0  # for a cell, where the suite sets no limit
RUNS = 2  # of each sampled cell
Place = tuple[int, float, int]  # m, noise_norm, draw
FLOOR = 0.9  # of the representation error, itself found by a search


def verify(
    path: Path,
    sample: float = 0.05,
    seed: int | None = None,
    budget: float | None = None,
    report: Callable[[str], None] = lambda what: None,
) -> Iterator[Check]:
    """Check one results file, `suite=NAME/method=NAME.parquet`.

    Args:
        sample: share of the cells that are run again; above 0, at least one is.
        seed: of the choice; None: nobody can foresee it.
        budget: minutes that running cells again may take, by the times in the file; the cheapest cell is always run.
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
    provenance = read_provenance(path)
    yield times_and_sizes(frame, provenance)
    yield from origin(frame, provenance)
    yield _sees(cells[0])

    report("simulating every y")
    yield _same_y(frame, cells)

    if not (frame["status"] == "ok").any():
        yield Check("some row is ok", "none is, so nothing can be run again and compared")
    if not sample:
        return
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    chosen, told = _sampled(frame, cells, sample, budget, seed)
    yield Check(told)
    low = "diag_bf16" in frame and (bool((frame["diag_bf16"] > 0).any()) or fast_bf16(torch.device("cpu")))
    yield from run_again(frame, chosen, ROUNDING[low], Limits(suite.timeout or SECONDS), seed, report)


def _sampled(
    frame: pd.DataFrame, cells: list[Cell], sample: float, budget: float | None, seed: int
) -> tuple[list[Cell], str]:
    """The cells that are run again, and what that costs, in words."""
    ok = pd.DataFrame(frame[frame["status"] == "ok"]).drop_duplicates(["m", "noise_norm", "draw"])
    seconds = dict(zip(_places(ok), ok["cell_wall_seconds"].fillna(0).tolist(), strict=True))
    candidates = [cell for cell in cells if _place(cell) in seconds]
    order = random.Random(seed).sample(candidates, len(candidates))
    count = min(len(order), max(1, round(sample * len(cells))))
    chosen = order[:count]
    if budget is not None:
        chosen, spent = [], 0.0
        for cell in order:
            if len(chosen) < count and spent + RUNS * seconds[_place(cell)] <= 60 * budget:
                chosen.append(cell)
                spent += RUNS * seconds[_place(cell)]
        chosen = chosen or sorted(order, key=lambda cell: seconds[_place(cell)])[:1]
    each = [seconds[_place(cell)] for cell in chosen]
    told = (
        f"{len(chosen)} of {len(cells)} cells will be run again, twice each, to compare errors and times and then for "
        f"images that the method cannot have seen: about {RUNS * sum(each):.3g} s, as the file tells"
    )
    if each:
        told += f" {min(each):.3g} s" + (f" to {max(each):.3g} s" if len(each) > 1 else "") + " for a cell"
    return chosen, told + "; --sample and --budget bound it"


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


def _sees(cell: Cell) -> Check:
    """What the source of the method reads besides y and A."""
    fault = "; ".join(forbidden(cell.method))
    return Check("the method's source reads no test images, and no file that it does not tell of", fault or None)


def _same_y(frame: pd.DataFrame, cells: list[Cell]) -> Check:
    other = []
    for cell in cells:
        given, truth = cell.problem.simulate()
        expected = {image: digest(y) for image, y in zip(truth.ids.tolist(), given.y, strict=True)}
        rows = _rows(frame, cell)
        if any(expected.get(i) != y for i, y in zip(rows["image"], rows["y_sha256"], strict=True)):
            other.append(cell)
    return Check("every row was given the y of the suite", f"another y at {_where(other)}" if other else None)
