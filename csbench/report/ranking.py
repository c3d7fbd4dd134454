"""The numbers behind a leaderboard: errors with intervals, ranks with ties, measurements needed."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from csbench.catalogue.registry import entries
from csbench.catalogue.suites import Suite
from csbench.core.errors import ResultsError
from csbench.freshness.lineage import Lineage
from csbench.report import statistics as stats
from csbench.report.comparisons import mean_error, needed, saving, score
from csbench.report.families import family, learned_from
from csbench.report.marks import marks, not_converged
from csbench.report.samples import Estimate, Samples, samples, stitched
from csbench.results.artefacts import Row, held
from csbench.results.evaluations import Evaluations

USED = (
    "m", "noise_norm", "draw", "image", "method", "params", "status", "mse", "made_by", "cell_cpu_seconds",
    "batch_size", "diag_converged", "diag_generator_evaluations",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """One method on one suite.

    Attributes:
        family: sparse, generative, ambient-trained, learned, untrained or baseline.
        ranks: the first and the last rank that the method may have (`stats.rank_intervals`); None for a method with
            holes, which is never ranked by the rest of its cells.
        score: geometric mean over the suite's levels (of m, or of the noise) of the ratio of the error to that of the
            best Lasso at the level; None for a method with holes, and where no Lasso is complete.
        mean_error: geometric mean over the levels of the error itself, which ranks; None for a method with holes.
        errors: level to the mean squared error over images and draws; only of complete levels.
        best: the levels at which the method is the best or cannot be told apart from it.
        savings: m to how many times as many measurements the best Lasso needs for the same error; infinite where it
            never gets there. Empty where there is none to compare with.
        marks: level to what is to be said of it, of `csbench.report.marks.MARKS`.
        learned_from: what the method's prior was trained on; None where it has no prior.
        prior: name of the weights; None where there are none.
        needed: measurements to reach `Standings.reference_error`; infinite where it never does.
        generator_evaluations: per image; None where the method counts none.
        operator_evaluations: level to how often the method applies A or A^T there, where a count holds for its rows.
        missing: cells that have not been run.
        failed: images by status other than ok, without those that do not apply.
        not_converged: images that are flagged.
    """

    method: str
    family: str
    ranks: tuple[int, int] | None
    score: Estimate | None
    mean_error: Estimate | None
    errors: dict[float, Estimate]
    best: frozenset[float]
    savings: dict[int, Estimate]
    marks: dict[float, tuple[str, ...]]
    learned_from: str | None
    prior: str | None
    needed: Estimate | None
    cpu_seconds_per_image: float
    generator_evaluations: float | None
    operator_evaluations: dict[float, Evaluations]
    missing: int
    failed: dict[str, int]
    not_applicable: bool
    not_converged: int
    images: int
    revisions: int

    @property
    def rank(self) -> int | None:
        """The first rank that the method may have."""
        return self.ranks[0] if self.ranks else None


@dataclass(frozen=True)
class Standings:
    """All methods on one suite, best first.

    Attributes:
        errors: method to the samples that all figures are of.
        lassos: level to the Lasso with the smallest error there, in hindsight; empty where no Lasso is complete. The
            Lassos are the methods that say `reference`.
        reference_error: the smallest error of a Lasso at `suite.reference_m`; None where no Lasso is complete, or where
            the suite is over the noise.
    """

    suite: Suite
    rows: tuple[Standing, ...]
    errors: Mapping[str, Samples] = field(repr=False, compare=False)
    lassos: dict[float, str]
    reference_error: float | None
    reference_method: str | None


def standings(
    frame: pd.DataFrame, suite: Suite, counts: Iterable[Row] = (), lineage: Lineage | None = None
) -> Standings:
    """The standings of a suite from its rows (as `load_results` gives them).

    Args:
        counts: of the applications of A and A^T, rows of `csbench.results.artefact_kinds.EVALUATIONS`.
        lineage: the proofs by which they hold for rows that other code made.

    Raises:
        ResultsError: two methods were given different measurements of an image, so they cannot be compared.
    """
    _check_paired(frame, suite)
    frame = frame.filter(USED)  # copies of rows copy all columns
    errors = samples(frame, suite)
    ranks = _ranks(errors)
    order = [*ranks, *(name for name in errors if name not in ranks)]
    lassos = _best_lassos(errors, suite)
    rivals = _Rivals(suite, errors, ranks, _best(errors, suite), stitched(errors, lassos) if lassos else None)
    groups = {str(name): group for name, group in frame.groupby("method")}
    counted = _counted(frame, suite, counts, lineage or Lineage())
    rows = tuple(_standing(name, groups[name], rivals, counted[name]) for name in order)
    reference, reference_method = None, None
    if rivals.lasso is not None and suite.axis == "m":
        reference_method = lassos[suite.reference_m]
        reference = float(rivals.lasso.mean[suite.m.index(suite.reference_m)])
    return Standings(suite, rows, errors, lassos, reference, reference_method)


@dataclass(frozen=True)
class _Rivals:
    """What the errors of all methods together say.

    Attributes:
        best: level to the method with the smallest error there and those that cannot be told apart from it.
        lasso: at each level the best Lasso; None where no Lasso is complete.
    """

    suite: Suite
    errors: Mapping[str, Samples]
    ranks: Mapping[str, tuple[int, int]]
    best: Mapping[float, frozenset[str]]
    lasso: Samples | None


def _standing(method: str, own: pd.DataFrame, rivals: _Rivals, counted: dict[float, Evaluations]) -> Standing:
    """One method, from its own rows and what its rivals leave it."""
    suite, errors, lasso = rivals.suite, rivals.errors[method], rivals.lasso
    compared = lasso if errors.complete else None
    over_m = suite.axis == "m"
    ok = own.loc[own["status"] == "ok"]
    statuses = own["status"].value_counts().to_dict()
    params = json.loads(own["params"].iloc[-1])
    entry = entries("methods").get(method)
    learned = learned_from(entry, params)
    return Standing(
        method=method,
        family=family(entry, learned),
        ranks=rivals.ranks.get(method),
        score=score(errors, compared) if compared else None,
        mean_error=mean_error(errors) if errors.complete else None,
        errors=errors.estimates(),
        best=frozenset(level for level in suite.levels if method in rivals.best[level]),
        savings={m: saving(errors, compared, m) for m in suite.m} if compared and over_m else {},
        marks=marks(own, suite),
        learned_from=learned,
        prior=params.get("prior"),
        needed=needed(errors, compared, suite.reference_m) if compared and over_m else None,
        cpu_seconds_per_image=_cpu_seconds(ok),
        generator_evaluations=_mean_of(ok, "diag_generator_evaluations"),
        operator_evaluations=counted,
        missing=len(suite.levels) * suite.draws - len(set(zip(own[suite.axis], own["draw"], strict=True))),
        failed={s: n for s, n in sorted(statuses.items()) if s not in ("ok", "not_applicable")},
        not_applicable=set(statuses) == {"not_applicable"},
        not_converged=int(not_converged(ok).sum()),
        images=len(own),
        revisions=_revisions(own),
    )


def _ranks(errors: Mapping[str, Samples]) -> dict[str, tuple[int, int]]:
    """The first and the last rank of each complete method, best first; the error decides within a rank."""
    complete = [name for name, one in errors.items() if one.complete]
    order = sorted(complete, key=lambda name: stats.log_score(errors[name].mean))
    scores = np.array([stats.log_score(errors[name].mean) for name in order])
    p = stats.permutation_tests(np.stack([errors[name].by_image for name in order])) if order else np.ones((0, 0))
    ranks = dict(zip(order, stats.rank_intervals(scores, p), strict=True))
    return dict(sorted(ranks.items(), key=lambda item: item[1][0]))


def _best(errors: Mapping[str, Samples], suite: Suite) -> dict[float, frozenset[str]]:
    """Level to the method with the smallest error there, and those that cannot be told apart from it."""
    best = {}
    for i, level in enumerate(suite.levels):
        complete = {name: one for name, one in errors.items() if not np.isnan(one.mean[i])}
        first = min(complete.values(), key=lambda one: one.mean[i], default=None)
        best[level] = frozenset(
            name
            for name, one in complete.items()
            if first is None or one is first or stats.includes_zero(one.resampled[:, i] - first.resampled[:, i])
        )
    return best


def _best_lassos(errors: Mapping[str, Samples], suite: Suite) -> dict[float, str]:
    """Level to the complete Lasso with the smallest error there."""
    known = entries("methods")
    lassos = [name for name in errors if name in known and known[name].facts.get("reference")]
    lassos = [name for name in lassos if errors[name].complete]
    if not lassos:
        return {}
    return {level: min(lassos, key=lambda name: errors[name].mean[i]) for i, level in enumerate(suite.levels)}


def _check_paired(frame: pd.DataFrame, suite: Suite) -> None:
    place = [suite.axis, "draw", "image"]
    measured = frame.drop_duplicates([*place, "y_sha256"])
    twice = measured.loc[measured.duplicated(place)]
    if len(twice):
        level, draw, image = (twice[name].iloc[0] for name in place)
        here = frame.loc[(frame[place] == [level, draw, image]).all(axis=1)]
        sharing = [", ".join(sorted(set(rows["method"]))) for _, rows in here.groupby("y_sha256")]
        raise ResultsError(
            f"suite {suite.name}: methods were given different y for image {image} at {suite.axis} = {level}, "
            f"draw {draw}: {' one, and another '.join(sorted(sharing))}. `csbench run {suite.name} --methods "
            f"{','.join(sorted(set(here['method'])))}` runs those again whose images or code are no longer these; "
            "delete the files of methods that are no more"
        )


def _mean_of(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].to_numpy(dtype=float) if column in rows else np.empty(0)
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _counted(
    rows: pd.DataFrame, suite: Suite, counts: Iterable[Row], lineage: Lineage
) -> Mapping[str, dict[float, Evaluations]]:
    """Method to level to the count that holds for its rows."""
    of_method, found = defaultdict(list), defaultdict(dict)
    for one in counts:
        of_method[one["method"]].append(one)
    places = rows[["method", "m", "noise_norm", "made_by"]].drop_duplicates()
    for method, m, noise_norm, made_by in places.itertuples(index=False, name=None):
        holds = partial(lineage.connects, made_by)
        for one in held(of_method[method], {"m": m, "noise_norm": noise_norm}, holds):
            level = float(m if suite.axis == "m" else noise_norm)
            found[method][level] = Evaluations(one["takes_matrix"], one["once"], one["per_image"])
    return found


def _revisions(rows: pd.DataFrame) -> int:
    """Different hashes at one level of noise, for parameters may depend on the noise."""
    return max(rows.groupby("noise_norm")["made_by"].nunique().tolist())


def _cpu_seconds(rows: pd.DataFrame) -> float:
    """Of the processor, for they depend less than those on the wall on what else the machine did."""
    if not len(rows):
        return math.nan
    return float((rows["cell_cpu_seconds"] / rows["batch_size"]).to_numpy().mean())
