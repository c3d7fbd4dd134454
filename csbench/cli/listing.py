"""`csbench list`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csbench.cli.common import AsJson, app, print_table
from csbench.core.errors import UsageError
from csbench.core.paths import weights_folders

if TYPE_CHECKING:
    from csbench.catalogue.entries import Entry


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, datasets, operators, suites or priors.")] = "methods",
    as_json: AsJson = False,
) -> None:
    """List what there is, with parameters and papers.

    Example: csbench list operators
    """
    rows = _catalogue(what)
    if as_json:
        print(json.dumps(_with_papers(what, rows), indent=2))
    else:
        headers = list(rows[0]) if rows else []
        print_table(what, headers, [[_plain(row[h]) for h in headers] for row in rows])
    _warn_of_untaken(what)


def _warn_of_untaken(what: str) -> None:
    from csbench.catalogue.registry import KINDS, untaken

    if what in KINDS:
        for one in untaken(what):  # type: ignore[arg-type]
            print(f"csbench: {one}", file=sys.stderr)


def _catalogue(what: str) -> list[dict[str, Any]]:
    from csbench.catalogue.registry import KINDS, entries

    if what in KINDS:
        rows = []
        for entry in entries(what).values():  # type: ignore[arg-type]
            row: dict[str, Any] = {"name": entry.name}
            if what == "datasets":
                row |= _images(entry)
            else:
                row["parameters"] = entry.fields
            if what == "operators":
                facts = {"rows": "", "adjoint_by": "", "cost": ""} | entry.facts
                row |= {
                    "m": facts["rows"],
                    "adjoint": facts["adjoint_by"],
                    "cost": f"O({facts['cost']})" if facts["cost"] else "",
                }
            rows.append(row | {"what": entry.summary, "module": entry.module})
        return rows
    if what == "suites":
        from csbench.catalogue.suites import load_suite, suite_names

        suites = [load_suite(name) for name in suite_names()]
        return [
            {
                "name": s.name,
                "version": s.version,
                "what": s.title,
                "m": list(s.m),
                "images": s.images,
                "draws": s.draws,
            }
            for s in suites
        ]
    if what == "priors":
        from csbench.core.cards import all_cards

        return [
            {"name": c["name"], "trained on": c["dataset"], "measurements": c["measurements"], "quality": c["quality"]}
            for c in all_cards(weights_folders(), "*.json")
        ]
    raise UsageError(f"cannot list {what!r}; there are {', '.join([*KINDS, 'suites', 'priors'])}")


def _images(entry: Entry) -> dict[str, Any]:
    """What a dataset's class tells of its images, as far as it tells it in literals."""
    shape = entry.facts.get("image_shape")
    if not isinstance(shape, tuple) or len(shape) != 3:
        return {"n": "", "channels": "", "sides": "", "licence": entry.facts.get("licence", "")}
    c, h, w = shape
    return {"n": c * h * w, "channels": c, "sides": f"{h} x {w}", "licence": entry.facts.get("licence", "")}


def _with_papers(what: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With links to the papers of each method and dataset, which a table has no room for."""
    from csbench.catalogue.papers import papers_of
    from csbench.catalogue.registry import entries

    if what not in ("methods", "datasets"):
        return rows
    known = entries(what)
    return [
        row | {"papers": [{"paper": paper.short, "url": paper.url} for paper in papers_of(known[row["name"]])]}
        for row in rows
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
