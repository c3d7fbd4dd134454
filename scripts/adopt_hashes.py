"""Gives the results that were published before `made_by` was there their hashes, once, after proving them equal.

    python scripts/adopt_hashes.py REV [--budget MINUTES] [--write]

REV is the last commit whose results hold the older hash, of the method's and the operator's modules alone. For every
row it has to be shown that the code here would make it again:

1. the code of REV gives each stored hash anew, cell by cell, so method, operator, parameters and weights are those that
   made the rows;
2. every y, simulated anew here, has the stored hash, so images, operators, noise and seeds are;
3. the commit in the rows' provenance and the code here make the same x_hat, diagnostics and metrics, to the bit, on the
   cheapest, the dearest affordable and a random cell of each method, which covers the worker and the metrics. Where
   problem, worker and metrics of that commit are REV's to the letter, REV runs in its place, and so it does for runs
   whose code was not all committed.

Only then are hashes rewritten: in results, counts, decompositions and pictures. What fails keeps nothing, and is named.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from csbench.files import write_atomically
from csbench.problem import digest
from csbench.store import write_file
from csbench.suites import Suite, load_suite, suite_names

from csbench.catalogue.registry import get_dataset
from csbench.freshness.changes import differences
from csbench.freshness.closure import Closure, closure
from csbench.freshness.made_by import HARNESS, ROOT, MadeOf
from csbench.freshness.source import Tree
from csbench.runner.plan import Cell, make_cells
from csbench.studies import prove
from csbench.studies.checkouts import Checkouts, Side, git, open_checkouts

RESULTS = ROOT / "results"
ADAPTER = Path(__file__).with_name("adopt_adapter.py")
OLD_HARNESS = (
    ("csbench.problem", ("Problem", "simulate", "method_seed_names", "draw_operator")),
    ("csbench.runner.worker", ("solve",)),
    ("csbench.runner.score", ("metric_columns",)),
)
TELL = """
import json, sys
from csbench.runner.plan import make_cells
from csbench.suites import load_suite
found = {}
for name, methods in json.loads(sys.argv[1]):
    cells = make_cells(load_suite(name).narrowed(methods=tuple(methods)))
    found[name] = {cell.id.key: cell.id.fingerprint for cell in cells}
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rev")
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--suites", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = options.suites.split(",") if options.suites else [n for n in suite_names() if load_suite(n).published]
    suites = {name: load_suite(name) for name in wanted}
    tables = {(name, path.stem.removeprefix("method=")): _raw(path) for name in suites for path in _files(name)}
    cells = {
        name: make_cells(suite.narrowed(methods=tuple(method for s, method in tables if s == name)))
        for name, suite in suites.items()
    }
    with open_checkouts() as checkouts:
        rev = git("rev-parse", options.rev, check=True) or ""
        bad = set(_other_hashes(checkouts.tree(rev), tables, suites))
        print(f"1. older hashes given anew: {len(tables) - len(bad)} of {len(tables)} files", flush=True)
        bad |= set(_other_y(tables, cells))
        print(f"2. every y given anew: {len(tables) - len(bad)} of {len(tables)} files", flush=True)
        claims = [claim for place in tables if place not in bad for claim in _claims(place, tables, cells, suites)]
        notes: set[str] = set()
        bad |= set(_differing(claims, checkouts, rev, options.budget, notes))
        print(f"3. equal to the bit: {len(tables) - len(bad)} of {len(tables)} files", flush=True)
        for note in sorted(notes):
            print(f"   not run by these cells: {note}")
    for place in sorted(bad):
        print(f"not adopted: {'/'.join(place)}")
    if options.write and not bad:
        _write(tables, cells)
    sys.exit(bool(bad))


def _files(suite: str) -> list[Path]:
    return sorted((RESULTS / f"suite={suite}").glob("method=*.parquet"))


def _raw(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()


def _other_hashes(tree: Path, tables: dict, suites: dict[str, Suite]) -> Iterator[tuple[str, str]]:
    """Files with a row whose older hash the code of REV does not give."""
    asked = [(name, [method for suite, method in tables if suite == name]) for name in suites]
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tree)!r})\n{TELL}", json.dumps(asked)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    for (suite, method), table in tables.items():
        pairs = set(zip(table["key"].to_pylist(), table["fingerprint"].to_pylist(), strict=True))
        if any(told[suite].get(key) != fingerprint for key, fingerprint in pairs):
            yield suite, method


def _other_y(tables: dict, cells: dict[str, list[Cell]]) -> Iterator[tuple[str, str]]:
    """Files with a row that was given another y than the code here simulates."""
    for suite, some in cells.items():
        known = {}
        for problem in dict.fromkeys(cell.problem for cell in some):
            given, truth = problem.simulate()
            for image, y in zip(truth.ids.tolist(), given.y, strict=True):
                known[problem.m, problem.noise_norm, problem.draw, image] = digest(y)
        for (name, method), table in tables.items():
            columns = ("m", "noise_norm", "draw", "image", "y_sha256")
            rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
            if name == suite and any(known.get(row[:4]) != row[4] for row in rows):
                yield name, method


def _claims(place: tuple[str, str], tables: dict, cells: dict, suites: dict[str, Suite]) -> Iterator[prove.Claim]:
    """The rows of one file by the commit and the parameters that made them."""
    suite, method = place
    table = tables[place]
    runs = json.loads((table.schema.metadata or {})[b"csbench_provenance"])
    columns = ["m", "noise_norm", "draw", "run_id", "status", "cell_cpu_seconds", "batch_size"]
    rows = {(row["m"], row["noise_norm"], row["draw"]): row for row in table.select(columns).to_pylist()}
    together = defaultdict(list)
    for cell in cells[suite]:
        row = rows.get((cell.problem.m, cell.problem.noise_norm, cell.problem.draw))
        if cell.method_name == method and row and cell.made_of:
            share = max(prove.IMAGES / row["batch_size"], 0.2)
            entries = cell.problem.m * get_dataset(cell.problem.dataset).n
            cost = max(prove.LEAST_SECONDS, share * (row["cell_cpu_seconds"] or 0) + 3e-8 * entries)
            run = runs[row["run_id"]]
            together["" if run["dirty"] else run["commit"], cell.id.made_by].append((cell, cost))
    for (commit, _), some in together.items():
        new = some[0][0].made_of
        yield prove.Claim(suites[suite], method, new, new, some, [commit], False)


def _differing(
    claims: list[prove.Claim], checkouts: Checkouts, rev: str, budget: float, notes: set[str]
) -> Iterator[tuple[str, str]]:
    """Files of whose cells the commit in the provenance makes other numbers than the code here."""
    groups: dict[str, prove.Group] = {}
    rev_tree = checkouts.tree(rev)
    stands_in = {"": rev}
    for claim in claims:
        commit = claim.commits[0]
        if commit not in stands_in:
            tree = checkouts.tree(commit)
            same = differences(_harness(tree), _harness(rev_tree), tree, rev_tree) == ([], [])
            stands_in[commit] = rev if same else commit
        commit = stands_in[commit]
        if commit not in groups:
            groups[commit] = prove.Group(Side(checkouts.tree(commit), sys.executable, ADAPTER), [], [])
        groups[commit].claims.append(claim)
        groups[commit].roots.append(_as_it_was(claim.new, Tree(checkouts.tree(commit))))
    seconds = prove.SHARE * 60 * budget / 2 / len(claims)
    for number, (commit, group) in enumerate(groups.items()):
        print(f"   {number + 1} of {len(groups)}: {commit[:12]}, {len(group.claims)} claims", flush=True)
        for found in prove.examined(group, checkouts.folder / f"answers-{commit[:12]}", seconds, 3600):
            if found.outcome == "stale" or (found.outcome == "changed" and not found.why.startswith("no cell ran")):
                print(f"   {found.claim.suite.name} {found.claim.method}: {found.why}", flush=True)
                yield found.claim.suite.name, found.claim.method
            elif found.why:
                notes.add(f"{commit[:12]}: {found.why}")


def _harness(tree: Path) -> Closure:
    return closure(Tree(tree), OLD_HARNESS)


def _as_it_was(today: MadeOf, tree: Tree) -> MadeOf:
    """Where the code of an older commit begins."""
    harness = {module for module, _ in HARNESS}
    roots = {module: list(names) for module, names in OLD_HARNESS}
    roots |= {module: names for module, names in today.roots.items() if module not in harness}
    code = closure(tree, [(module, names) for module, names in roots.items()]).code
    return MadeOf(**asdict(today) | {"roots": roots, "code": code})


def _write(tables: dict, cells: dict[str, list[Cell]]) -> None:
    commit = git("rev-parse", "HEAD")
    renamed: dict[tuple[str, str, str], str] = {}
    for (suite, method), table in tables.items():
        made = {(c.problem.m, c.problem.noise_norm, c.problem.draw): c for c in cells[suite] if c.method_name == method}
        places = zip(*(table[name].to_pylist() for name in ("m", "noise_norm", "draw")), strict=True)
        mine = [made[place] for place in places]
        for old, cell in zip(table["fingerprint"].to_pylist(), mine, strict=True):
            renamed[suite, method, old] = cell.id.made_by
        runs = json.loads((table.schema.metadata or {})[b"csbench_provenance"])
        parts = {cell.id.made_by: asdict(cell.made_of) for cell in mine if cell.made_of}
        runs = {run: facts | {"hashed_at": commit, "made_of": parts} for run, facts in runs.items()}
        column = pa.array([cell.id.made_by for cell in mine])
        position = table.column_names.index("fingerprint")
        write_file(_path(suite, method), table.set_column(position, "made_by", column), runs)
    _rename_elsewhere(renamed)
    print(f"{len(tables)} files written")


def _path(suite: str, method: str) -> Path:
    return RESULTS / f"suite={suite}" / f"method={method}.parquet"


def _rename_elsewhere(renamed: dict[tuple[str, str, str], str]) -> None:
    """The same hashes in counts, decompositions and pictures; what was stale there stays so."""
    for path in sorted((RESULTS / "evaluations").glob("*.csv")):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        hashes = zip(rows["method"], rows["fingerprint"], strict=True)
        rows["fingerprint"] = [renamed.get((path.stem, method, old), old) for method, old in hashes]
        text = rows.rename(columns={"fingerprint": "made_by"}).to_csv(index=False, lineterminator="\n")
        write_atomically(path, text.encode())
    for path in sorted([*(RESULTS / "decomposition").glob("*/*.parquet"), *(RESULTS / "gallery").glob("*/*.parquet")]):
        suite, method = path.parent.name.removeprefix("suite="), path.stem.removeprefix("method=")
        table = pq.ParquetFile(path).read()
        hashes = [renamed.get((suite, method, old), old) for old in table["fingerprint"].to_pylist()]
        position = table.column_names.index("fingerprint")
        table = table.set_column(position, "made_by", pa.array(hashes, table["fingerprint"].type))
        metadata = dict(table.schema.metadata or {})
        if b"pandas" in metadata:
            metadata[b"pandas"] = metadata[b"pandas"].replace(b'"fingerprint"', b'"made_by"')
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
        write_atomically(path, buffer.getvalue())


if __name__ == "__main__":
    main()
