"""Whether code that has changed since results were made still makes the same numbers.

Old and new code run on this machine, in two processes, on a few cells of each method: the cheapest, the dearest that
the budget allows, and one at random, three images of each. Where x_hat, diagnostics and metrics are equal to the bit
and every line that differs has run, the results are proved. Where a number differs they are stale. Where a line that
differs has not run, nothing is proved, and the line is named.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from csbench.catalogue.registry import get_dataset
from csbench.catalogue.suites import Suite
from csbench.core.errors import CsbenchError
from csbench.core.machine import cpu_model
from csbench.freshness.changes import Changed, Span
from csbench.freshness.lineage import Lineage, Proof
from csbench.freshness.made_by import ROOT, MadeOf
from csbench.freshness.source import Tree
from csbench.freshness.states import other_code
from csbench.freshness.unseen import Code, Lines, compared, lines_to_watch
from csbench.results.folder import results_file
from csbench.results.store import read_file, read_provenance
from csbench.runner.plan import Cell
from csbench.runner.states import suite_states
from csbench.studies.checkouts import Answers, Checkouts, Side, commit_here, interpreter, running

IMAGES = 3
LEAST_SECONDS = 0.05  # that a cell is taken to last
ONCE = 0.2  # of a cell's time, whatever the number of images
PER_ENTRY = 3e-8  # seconds, of A
INTERPRETED = 150.0  # seconds for cells whose functions are not compiled
SHARE = 0.25  # of the time that the budget leaves to each method, for its dearest cell
Outcome = Literal["proved", "changed", "stale"]


@dataclass(frozen=True)
class Claim:
    """That some rows are what today's code would make, though their hash is another.

    Attributes:
        old: hash of the rows.
        new: what the same cells are made of today.
        cells: that may be run, each with the seconds that it took.
        commits: that may have the code of the rows, by provenance.
        missing: whether the images are not on this machine.
    """

    suite: Suite
    method: str
    old: MadeOf
    new: MadeOf
    cells: list[tuple[Cell, float]]
    commits: list[str]
    missing: bool

    @property
    def noise(self) -> str:
        return f"{self.method} {self.cells[0][0].problem.noise_norm!r}"

    def chosen(self, seconds: float) -> list[Cell]:
        """The cheapest cell, the dearest that takes no longer than so many seconds, and one at random of these."""
        ordered = sorted(self.cells, key=lambda pair: (pair[1], pair[0].problem.m, pair[0].problem.draw))
        affordable = [cell for cell, cost in ordered if cost <= seconds] or [ordered[0][0]]
        pick = random.Random(self.old.made_by + self.new.made_by).choice(affordable)
        return list({cell.problem: cell for cell in (ordered[0][0], affordable[-1], pick)}.values())


@dataclass
class Finding:
    """What came of a claim.

    Attributes:
        why: in a line, where it is not proved.
        proof: to be kept, if there is one.
    """

    claim: Claim
    outcome: Outcome
    why: str = ""
    proof: Proof | None = None


Spans = dict[str, set[Span]]  # path to what has run


@dataclass
class Group:
    """Claims whose old code is one commit's."""

    side: Side
    claims: list[Claim]
    roots: list[MadeOf]
    jobs: list[dict[str, Any]] = field(default_factory=list)
    owner: list[Claim] = field(default_factory=list)


@dataclass(frozen=True)
class Examined:
    """A claim whose cells have run.

    Attributes:
        finding: what their numbers say, whatever lines they have run.
        sides: the old and the new code.
        ran: in cells of its group of which both codes make the same, on each side.
    """

    finding: Finding
    sides: tuple[Code, Code]
    ran: tuple[Spans, Spans]

    def unseen(self, in_new: Spans) -> list[Changed]:
        """What no cell has run of the difference.

        Args:
            in_new: what has run of the new code; what another group has run of it has made the same numbers as well.
        """
        return [*self.sides[0].unseen(self.ran[0]), *self.sides[1].unseen(in_new)]


def claims(suite: Suite, results: Path) -> list[Claim]:
    """The rows of a suite whose code has changed, those of one method and hash together."""
    found = suite_states(suite, results)
    changed = [cell for cell, verdict in found.cells if verdict.state == "changed"]
    together: dict[tuple[str, str], list[tuple[Cell, dict[str, Any]]]] = defaultdict(list)
    provenance: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(cell.method_name for cell in changed):
        path = results_file(results, suite.name, name)
        provenance[name] = read_provenance(path)
        columns = ["m", "noise_norm", "draw", "made_by", "run_id", "status", "cell_cpu_seconds", "batch_size"]
        rows = {(r["m"], r["noise_norm"], r["draw"]): r for r in read_file(path, suite).select(columns).to_pylist()}
        for cell in changed:
            row = rows.get((cell.problem.m, cell.problem.noise_norm, cell.problem.draw))
            if cell.method_name == name and row is not None:
                together[name, row["made_by"]].append((cell, row))
    return [_claim(suite, name, made_by, pairs, provenance[name]) for (name, made_by), pairs in together.items()]


def _claim(
    suite: Suite, name: str, made_by: str, pairs: list[tuple[Cell, dict[str, Any]]], provenance: dict[str, Any]
) -> Claim:
    facts = [provenance[row["run_id"]] for _, row in pairs]
    parts = next(one["made_of"][made_by] for one in facts if made_by in one.get("made_of", {}))
    old = MadeOf(**parts)
    today = pairs[0][0].made_of
    assert today is not None
    usable = [pair for pair in pairs if pair[1]["status"] in ("ok", "not_applicable")] or pairs
    seconds = [_seconds(cell, row) for cell, row in usable]
    commits = sorted({(bool(one.get("dirty")), commit) for one in facts if (commit := commit_of(one))})
    return Claim(
        suite, name, old, today.completed(old), [(cell, cost) for (cell, _), cost in zip(usable, seconds, strict=True)],
        [commit for _, commit in commits], not all(today.images.values()),
    )  # fmt: skip


def commit_of(run: dict[str, Any]) -> str | None:
    """The commit with the code that the hashes of a run are of."""
    return run.get("hashed_at") or run.get("commit")


def _seconds(cell: Cell, row: dict[str, Any]) -> float:
    """What a cell of few images may take: some of its time goes into A, and drawing A takes time too."""
    share = max(IMAGES / row["batch_size"], ONCE)
    entries = cell.problem.m * get_dataset(cell.problem.dataset).n
    return max(LEAST_SECONDS, share * (row["cell_cpu_seconds"] or 0) + PER_ENTRY * entries)


def prove(
    asked: list[Claim],
    lineages: dict[str, Lineage],
    checkouts: Checkouts,
    since: str | None = None,
    budget: float = 20.0,
    environment: Path | None = None,
    adapter: Path | None = None,
    report: Callable[[str], None] = lambda what: None,
) -> Iterator[Finding]:
    """Examine claims, yielding what came of each.

    Args:
        lineages: earlier proofs, by suite.
        since: the commit to take for the old code where it has that of the rows; elsewhere, and for None, that of the
            last proof, or that in the rows' provenance.
        budget: minutes of processor time for both codes together; the cheapest cell of each method always runs.
        environment: a virtual environment for the old code; made where it is not there.
        adapter: see `Side`.
        report: told what is being done.
    """
    groups, lost = _grouped(asked, lineages, checkouts, since, environment, adapter, report)
    yield from lost
    seconds = SHARE * 60 * budget / 2 / max(1, len(asked) - len(lost))
    everywhere: Spans = {}
    waiting: list[Examined] = []
    for commit, group in groups.items():
        report(f"running cells with the code of {commit[:12]} and with that of today")
        found = list(examined(group, checkouts.folder / f"answers-{commit[:12]}", seconds, 60 * budget))
        for one in found[:1]:
            _add(everywhere, one.ran[1])
        for one in found:
            if one.finding.outcome == "proved" and one.unseen(one.ran[1]):
                waiting.append(one)
            else:
                yield one.finding
    for one in waiting:
        unseen = one.unseen(everywhere)
        yield _without_proof(one.finding, unseen) if unseen else one.finding


def _grouped(
    asked: list[Claim], lineages: dict[str, Lineage], checkouts: Checkouts, since: str | None,
    environment: Path | None, adapter: Path | None, report: Callable[[str], None],
) -> tuple[dict[str, Group], list[Finding]]:  # fmt: skip
    """Claims by the commit that has the code of their rows, and those for which there is none here."""
    groups: dict[str, Group] = {}
    open_claims, excuses = list(asked), dict.fromkeys(map(id, asked), "no commit is known that has their code")
    wanted: dict[str, list[Claim]] = defaultdict(list)
    tried: set[tuple[int, str]] = set()
    while True:
        wanted.clear()
        for claim in open_claims:
            chain = lineages[claim.suite.name].equal_to(claim.old.made_by)
            candidates = [*filter(None, [since]), *reversed([c for c in chain.values() if c]), *claim.commits]
            commit = next((c for c in candidates if (id(claim), c) not in tried), None)
            if commit:
                tried.add((id(claim), commit))
                wanted[commit].append(claim)
        if not wanted:
            break
        for commit, some in wanted.items():
            report(f"reading the code of {commit[:12]}")
            try:
                side = Side(tree := checkouts.tree(commit), interpreter(environment, tree), adapter)
                told = _told(side, some, checkouts.folder / f"told-{commit[:12]}-{len(tried)}")
            except CsbenchError as error:
                excuses |= dict.fromkeys(map(id, some), str(error))
                continue
            for claim in some:
                parts = told[claim.suite.name].get(claim.noise)
                known = lineages[claim.suite.name].equal_to(claim.old.made_by)
                there = _completed(parts, claim.old)
                if there is None or there.made_by not in known:
                    excuses[id(claim)] = _not_that_code(commit, there, claim.old)
                    continue
                group = groups.setdefault(commit, Group(side, [], []))
                group.claims.append(claim)
                group.roots.append(there)
                open_claims.remove(claim)
    return groups, [Finding(claim, "changed", excuses[id(claim)]) for claim in open_claims]


def _told(side: Side, some: list[Claim], folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What a checkout says that it would make the cells of."""
    methods: dict[str, list[str]] = defaultdict(list)
    for claim in some:
        if claim.method not in methods[claim.suite.name]:
            methods[claim.suite.name].append(claim.method)
    with running(side, folder, list(methods.items()), []) as collect:
        return collect(None).told


def _completed(parts: dict[str, Any] | None, old: MadeOf) -> MadeOf | None:
    if parts is None:
        return None
    return MadeOf(**{name: value for name, value in parts.items() if name != "made_by"}).completed(old)


def _not_that_code(commit: str, there: MadeOf | None, old: MadeOf) -> str:
    said = f"commit {commit[:12]} has not the code of these rows"
    if there is None:
        return f"{said}, for it does not have the method; name one with --since"
    if there.packages != old.packages:
        what = "; ".join(text for text in other_code(old, there) if text.startswith("packages"))
        return f"{what}: give the older packages with --environment DIR, which is made where it is not there"
    differing = "; ".join(other_code(old, there)) or "its parameters, weights or images are others"
    return f"{said} ({differing}); name one that has, with --since"


def examined(group: Group, folder: Path, seconds: float, limit: float) -> Iterator[Examined]:
    """Run the cells of a group with both codes."""
    for claim in group.claims:
        for cell in claim.chosen(seconds):
            problem = asdict(cell.problem) | {"images": min(IMAGES, cell.problem.images)}
            group.jobs.append(
                {"problem": problem, "method": claim.method, "params": claim.old.params, "missing": claim.missing}
            )
            group.owner.append(claim)
    here = Side(ROOT, interpreter(None, ROOT))
    pairs = zip(group.claims, group.roots, strict=True)
    changes = {id(claim): _compared(there, claim.new, group.side.root) for claim, there in pairs}
    watched = [lines_to_watch([both[side] for both in changes.values()]) for side in (0, 1)]
    old, new = _both(group.side, here, folder / "compiled", group.jobs, watched, limit)
    if differing := [number for number in range(len(group.jobs)) if _deviation(number, old, new)]:
        # A function that numba has just compiled may round otherwise than the same function from its cache.
        second = _both(group.side, here, folder / "again", [group.jobs[n] for n in differing], watched, limit)
        for answers, better in zip((old, new), second, strict=True):
            answers.replace(differing, better)
    ran = _ran(old, new, range(len(group.jobs)))
    if again := _interpreted(group, changes, ran):
        patience = min(limit, INTERPRETED)  # what has not come by then is not seen, and nothing else is lost
        extra = _both(group.side, here, folder / "interpreted", again, watched, patience, compiled=False)
        for spans, more in zip(ran, _ran(*extra, range(len(again))), strict=True):
            _add(spans, more)
    for claim in group.claims:
        mine = [number for number, owner in enumerate(group.owner) if owner is claim]
        yield Examined(_judged(claim, mine, group.jobs, old, new), changes[id(claim)], ran)


def _compared(there: MadeOf, here: MadeOf, root: Path) -> tuple[Code, Code]:
    return compared((_tree(root), there.roots), (_tree(ROOT), here.roots))


_trees: dict[Path, Tree] = {}


def _tree(root: Path) -> Tree:
    return _trees.setdefault(root, Tree(root))


def _both(
    there: Side, here: Side, folder: Path, jobs: list[dict[str, Any]], watched: list[Lines], limit: float,
    compiled: bool = True,
) -> tuple[Answers, Answers]:  # fmt: skip
    """The answers of both codes, whose processes run at the same time."""
    with (
        running(there, folder / "old", [], jobs, watched[0], compiled) as old,
        running(here, folder / "new", [], jobs, watched[1], compiled) as new,
    ):
        return old(limit), new(limit)


def _ran(old: Answers, new: Answers, numbers: Collection[int]) -> tuple[Spans, Spans]:
    """What has run on each side, in cells of which both codes make the same."""
    spans: tuple[Spans, Spans] = {}, {}
    for found, answers in zip(spans, (old, new), strict=True):
        texts = [answers.imported, *(answers.jobs[i] for i in numbers if _deviation(i, old, new) == "")]
        for text in texts:
            for path, executed in (text or {}).get("executed", {}).items():
                found.setdefault(path, set()).update((a, b, c, d) for a, b, c, d in executed)
    return spans


def _interpreted(group: Group, changes: dict[int, tuple[Code, Code]], ran: tuple[Spans, Spans]) -> list[dict[str, Any]]:
    """One image of the cheapest cell of each method that has compiled lines which nobody saw run; smallest first."""
    jobs = []
    for claim in sorted(group.claims, key=lambda claim: claim.cells[0][0].problem.m):
        if any(one.compiled for one in _unseen(changes[id(claim)], ran)):
            job = group.jobs[group.owner.index(claim)]
            jobs.append(job | {"problem": job["problem"] | {"images": 1}})
    return jobs


def _unseen(sides: tuple[Code, Code], ran: tuple[Spans, Spans]) -> list[Changed]:
    return [one for code, spans in zip(sides, ran, strict=True) for one in code.unseen(spans)]


def _judged(claim: Claim, mine: list[int], jobs: list[dict[str, Any]], old: Answers, new: Answers) -> Finding:
    """What the numbers say."""
    deviations = [_deviation(number, old, new) for number in mine]
    broken = next((one for one in deviations if one is None), "")
    if broken is None:
        return Finding(claim, "changed", _why_broken(mine, old, new))
    differing = [one for one in deviations if one]
    cells = " ".join(f"{jobs[n]['problem']['m']}/{jobs[n]['problem']['draw']}" for n in mine)
    facts = (claim.method, claim.old.made_by, claim.new.made_by)
    where = f"{', '.join(f'{k} {v}' for k, v in claim.new.packages.items())}; {cpu_model()}"
    if differing:
        proof = Proof(*facts, "differs", cells, IMAGES, differing[0], commit_here(), where)
        return Finding(claim, "stale", differing[0], proof)
    return Finding(claim, "proved", "", Proof(*facts, "equal", cells, IMAGES, "", commit_here(), where))


def _without_proof(finding: Finding, unseen: list[Changed]) -> Finding:
    more = f" and {len(unseen) - 3} more" if len(unseen) > 3 else ""
    return Finding(finding.claim, "changed", f"no cell ran {', '.join(map(str, unseen[:3]))}{more}")


def _add(spans: Spans, more: Spans) -> None:
    for path, found in more.items():
        spans.setdefault(path, set()).update(found)


def _why_broken(mine: list[int], old: Answers, new: Answers) -> str:
    for number in mine:
        for name, side in (("old", old), ("new", new)):
            text = side.jobs[number]
            if text is None:
                return f"the {name} code did not come to an end on all cells; a larger --budget gives it more time"
            if text["status"] == "error":
                return f"the {name} code fails: {text['reason'].strip().splitlines()[-1]}"
    return "no answer"


def _deviation(number: int, old: Answers, new: Answers) -> str | None:
    """What differs most between the two answers for a cell, in words; empty: nothing; None: there is no answer."""
    a, b = old.jobs[number], new.jobs[number]
    if a is None or b is None or "error" in (a["status"], b["status"]):
        return None
    if a["status"] != b["status"]:
        return f"status {a['status']} -> {b['status']}"
    with np.load(old.folder / f"{number}.npz") as before, np.load(new.folder / f"{number}.npz") as after:
        if set(before) != set(after):
            return f"answers with {', '.join(sorted(set(before) ^ set(after)))} or without"
        found = [(name, *_largest(before[name], after[name])) for name in sorted(before)]
    differing = [(name, size, text) for name, size, text in found if text]
    if not differing:
        return ""
    name, _, text = max(differing, key=lambda one: (one[0] == "x_hat", one[1]))
    return f"{name} differs {text}"


def _largest(a: np.ndarray, b: np.ndarray) -> tuple[float, str]:
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.inf, f"in form, {a.dtype} {a.shape} and {b.dtype} {b.shape}"
    if a.tobytes() == b.tobytes():
        return 0.0, ""
    if a.dtype.kind not in "fc":
        return np.inf, "from image to image"
    with np.errstate(invalid="ignore"):
        size = float(np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
    return size, f"by up to {size:.2g}"
