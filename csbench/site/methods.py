"""What the page of a method shows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from csbench.catalogue.papers import papers_of
from csbench.report import texts
from csbench.report.families import prior_card
from csbench.site.data import Row, SuiteData, page_name
from csbench.site.json_files import axis_title


@dataclass(frozen=True)
class Block:
    """A piece of a docstring: a paragraph, or the fields of an `Attributes:` list."""

    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """The training card of a prior, and its cost for each image that the method was scored on."""

    name: str
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class MethodData:
    """All that a method's page shows.

    Attributes:
        suites: each with the row of the method on it.
        runs: suite, run id and what is known of the run.
    """

    name: str
    page: str
    registered: bool
    doc: list[Block]
    module: str
    source: str
    class_name: str
    papers: list[tuple[str, str]]
    suites: list[tuple[SuiteData, Row]]
    runs: list[tuple[str, str, dict[str, Any]]]
    cards: list[Card]


def method_data(name: str, suites: Sequence[SuiteData]) -> MethodData:
    """What the page of a method shows, over the suites that it took part in."""
    from csbench.catalogue.registry import entries

    entry = entries("methods").get(name)
    shown = [(data, row) for data in suites for row in data.rows if row.method == name]
    priors: dict[str, int] = {}
    for _, row in shown:
        for text in row.params:
            if prior := json.loads(text).get("prior"):
                priors[str(prior)] = priors.get(str(prior), 0) + row.standing.images
    return MethodData(
        name,
        page_name(name),
        entry is not None,
        docstring_blocks(entry.doc) if entry else [],
        entry.module if entry else "",
        f"methods/{entry.path.name}" if entry and entry.module.startswith("csbench.methods.") else "",
        entry.class_name if entry else "",
        [(paper.short, paper.url) for paper in papers_of(entry)] if entry else [],
        shown,
        [(data.suite.name, run, facts) for data, _ in shown for run, facts in data.provenance[name].items()],
        [card for prior, scored in priors.items() if (card := _card(prior, scored))],
    )


def docstring_blocks(doc: str) -> list[Block]:
    """Paragraphs, and the lists under `Attributes:`; without the list of papers."""
    blocks = []
    for part in re.split(r"\n\s*\n", doc.strip()):
        head, _, rest = part.partition("\n")
        if head.startswith("Papers:"):
            continue  # their links stand in a list of their own
        if head.strip() == "Attributes:":
            items: list[list[str]] = []
            for line in rest.splitlines():
                indent = len(line) - len(line.lstrip())
                if indent <= 4 and ":" in line:
                    key, _, text = line.strip().partition(":")
                    items.append([key, text.strip()])
                elif items:
                    items[-1][1] += " " + line.strip()
            blocks.append(Block(fields=tuple((key, text) for key, text in items)))
        else:
            blocks.append(Block(text=" ".join(part.split())))
    return blocks


def _card(prior: str, scored: int) -> Card | None:
    card = prior_card(prior)
    if card is None:
        return None
    facts = [(key, str(card[key])) for key in ("family", "dataset", "measurements", "split") if card.get(key)]
    seconds = card.get("seconds")
    if seconds is not None:
        facts.append(("training", f"{_duration(seconds)} on {card.get('hardware', 'unknown hardware')}"))
        facts.append(
            ("amortised", f"{seconds / scored:.2g} s of training for each of {scored:,} reconstructions scored here")
        )
    if card.get("steps"):
        facts.append(("steps", f"{card['steps']:,}"))
    quality = card.get("quality", {})
    words = {
        "representation_mse": ("representation error x 1000", texts.thousandths),
        "validation_representation_mse": ("misfit of validation images x 1000", texts.thousandths),
        "inception_score": ("inception score", lambda v: f"{v:.2f}"),
        "frechet_distance": ("Frechet distance", lambda v: f"{v:.0f}"),
    }
    facts += [(label, show(quality[key])) for key, (label, show) in words.items() if key in quality]
    facts += [(key, str(card[key])) for key in ("command", "licence") if card.get(key)]
    return Card(prior, facts)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def method_json(data: MethodData) -> list[dict[str, Any]]:
    """The method's error curve on each suite, beside those of the best Lasso and of the first in the ranking."""
    found = []
    for suite, row in data.suites:
        first = next((r.method for r in suite.rows if r.standing.rank is not None), None)
        curves = {r.method: [e and e.value for e in r.curves["mse"]] for r in suite.rows}
        beside = [] if first in (None, row.method) else [{"name": first, "values": curves[first], "lasso": False}]
        if lassos := suite.table.lassos:
            values = [curves[lassos[level]][i] for i, level in enumerate(suite.suite.levels)]
            beside.append({"name": "the best Lasso", "values": values, "lasso": True})
        found.append(
            {
                "suite": suite.suite.name,
                "axisTitle": axis_title(suite),
                "levels": list(suite.suite.levels),
                "style": row.style,
                "own": row.curves["mse"],
                "beside": beside,
            }
        )
    return found
