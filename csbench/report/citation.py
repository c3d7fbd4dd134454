"""What `csbench cite` prints: BibTeX of csbench, of a suite and its results, and of the papers behind the methods."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from csbench import __version__
from csbench.catalogue.papers import bibliography, entry_text, escaped, papers_of
from csbench.catalogue.registry import Entry, entries
from csbench.catalogue.suites import Suite

TITLE = "csbench: a benchmark harness and leaderboard for compressed sensing with sparse and generative priors"
AUTHOR = "{The csbench developers}"
CSGM = "bora2017"  # whose experiments csbench repeats
WIDTH = 100  # of comments


def cite_csbench() -> str:
    """The entry of csbench at this version."""
    fields = {"author": AUTHOR, "title": f"{{{TITLE}}}", "note": f"Software, version {__version__}"}
    return entry_text("misc", "csbench", fields) + "\n"


def cite_method(entry: Entry) -> str:
    """csbench and the papers of one method."""
    return "\n".join([cite_csbench(), *_papers({entry.name: entry}, [])])


def cite_suite(suite: Suite, methods: Iterable[str], digest: str) -> str:
    """csbench, the suite with its results, the CSGM paper, those of the methods and of the dataset, and the protocol.

    Args:
        methods: names of those that have results.
        digest: of the results, see `csbench.results.store.results_digest`.
    """
    methods, registered, datasets = sorted(methods), entries("methods"), entries("datasets")
    sources = {name: registered[name] for name in methods if name in registered}
    if suite.dataset in datasets:
        sources[f"dataset {suite.dataset}"] = datasets[suite.dataset]
    fields = {
        "author": AUTHOR,
        "title": f"{{csbench suite {escaped(suite.name)}: {escaped(suite.title)}}}",
        "note": f"Suite version {suite.version}, results {digest}, csbench {__version__}",
    }
    key = "csbench-" + re.sub(r"[^\w-]+", "-", suite.name)
    blocks = [cite_csbench(), entry_text("misc", key, fields) + "\n", *_papers(sources, [CSGM])]
    if unknown := [name for name in methods if name not in registered]:
        blocks.append(_comment(f"Not installed here, so that their papers are not known: {', '.join(unknown)}"))
    return "\n".join([*blocks, f"% Protocol: {protocol(suite, digest)}\n"])


def protocol(suite: Suite, digest: str) -> str:
    """How the numbers came about, on one line."""
    images = f"{suite.images} test images"
    if suite.fewer_images:
        images += f" ({suite.fewer_images[1]} from m = {suite.fewer_images[0]})"
    draws = f"{suite.draws} draw{'s' if suite.draws > 1 else ''} of A per {'m' if suite.axis == 'm' else 'noise norm'}"
    m, noise = (", ".join(f"{value:g}" for value in values) for values in (suite.m, suite.noise_norms))
    return (
        f"csbench {__version__}, suite {suite.name} version {suite.version}: dataset {suite.dataset}, operator "
        f"{suite.operator}, m = {m}, noise norm sqrt(E||noise||^2) = {noise}, {images}, {draws}, the same y for all "
        "methods; error: mean squared error per pixel on [0, 1], with 95% intervals by bootstrap over images; results "
        f"{digest}."
    )


def _papers(sources: dict[str, Entry], first: list[str]) -> list[str]:
    """Entries, each once and below a comment that says whose paper it is; then who has none.

    Args:
        first: keys of papers that are cited in any case.
    """
    known = bibliography()
    texts = {key: known[key].bibtex for key in first}
    cited_by: dict[str, list[str]] = {key: [] for key in first}
    without = []
    for name, entry in sources.items():
        papers = papers_of(entry)
        for paper in papers:
            texts.setdefault(paper.key, paper.bibtex)
            cited_by.setdefault(paper.key, []).append(name)
        if not papers:
            without.append(name)
    blocks = [_comment(", ".join(cited_by[key]) or "csbench") + text + "\n" for key, text in texts.items()]
    if without:
        blocks.append(_comment(f"Without a paper: {', '.join(without)}"))
    return blocks


def _comment(text: str) -> str:
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "".join(f"% {line}\n" for line in lines)
