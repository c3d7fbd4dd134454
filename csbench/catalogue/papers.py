"""Papers: from the identifiers in the docstrings of methods and datasets to links and BibTeX entries.

A docstring names its papers in a paragraph of its own, as arXiv numbers, DOIs, or addresses where a paper has neither:

    Papers: arXiv:1703.03208, doi:10.1109/TIT.2010.2040894, https://openreview.net/forum?id=Hy7fDog0b

Their entries are in `papers.bib` beside this module, and those of a plug-in may be in a `papers.bib` beside the
plug-in. This module imports no torch and no pandas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from csbench.core.errors import UsageError

if TYPE_CHECKING:
    from csbench.catalogue.registry import Entry

BIBLIOGRAPHY = Path(__file__).parent / "papers.bib"
IDENTIFIER = re.compile(
    r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?|doi:10\.\d{4,9}/\S+|https?://\S+\.\S+"
)
PARAGRAPH = re.compile(r"^Papers:(.*?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"^[ \t]*@(\w+)\s*\{\s*([^\s,{}]+)\s*,", re.MULTILINE)
FIELD = re.compile(r"\s*(\w+)\s*=\s*")
ACCENT = re.compile(r"\\[^a-zA-Z\s]|\\[a-zA-Z](?=\{)|[{}\\]")  # of LaTeX; what is left is the letter


@dataclass(frozen=True)
class Reference:
    """An entry of a BibTeX file: its text as it stands there, and its fields in lower case without outer braces."""

    key: str
    fields: dict[str, str]
    bibtex: str

    @property
    def identifiers(self) -> list[str]:
        """All that name it: `doi:...`, `arXiv:...` and the address, as far as it has them."""
        doi, eprint, url = (self.fields.get(field) for field in ("doi", "eprint", "url"))
        return [name for name in (doi and f"doi:{doi}", eprint and f"arXiv:{eprint}", url) if name]

    @property
    def short(self) -> str:
        """`Tibshirani 1996`, `Needell and Tropp 2009` or `Bora et al. 2017`."""
        names = [_family_name(author) for author in re.split(r"\s+and\s+", self.fields.get("author", ""))]
        several = " et al." if len(names) > 2 or names[-1] == "others" else f" and {names[-1]}"
        who = names[0] + (several if len(names) > 1 else "")
        return f"{who} {self.fields.get('year', '')}".strip() or self.key


@dataclass(frozen=True)
class Paper:
    """A paper that a docstring names.

    Attributes:
        key: of its BibTeX entry.
        identifier: as the docstring has it.
        url: where it can be read or found.
        short: author and year.
        bibtex: its entry.
    """

    key: str
    identifier: str
    url: str
    short: str
    bibtex: str


def identifiers(doc: str, where: str = "docstring") -> list[str]:
    """The identifiers in the paragraph of a docstring that begins with `Papers:`; empty where there is none.

    >>> identifiers("A method.\\n\\nPapers: arXiv:1703.03208, doi:10.1109/83.661180")
    ['arXiv:1703.03208', 'doi:10.1109/83.661180']

    Args:
        where: what the docstring is of, for the message.

    Raises:
        UsageError: a word there is no identifier.
    """
    found = PARAGRAPH.search(doc)
    words = [word for word in re.split(r",?\s+", found[1].strip()) if word] if found else []
    for word in words:
        if not IDENTIFIER.fullmatch(word):
            raise UsageError(
                f"{where}: {word!r} in the paragraph `Papers:` is no identifier; write arXiv:1703.03208, "
                "doi:10.1109/83.661180 or an address that begins with https://, with commas between them"
            )
    return words


def link(identifier: str) -> str:
    """The address of an identifier.

    >>> link("arXiv:1703.03208"), link("doi:10.1016/0167-2789(92)90242-F")
    ('https://arxiv.org/abs/1703.03208', 'https://doi.org/10.1016/0167-2789(92)90242-F')
    """
    scheme, _, rest = identifier.partition(":")
    if scheme == "arXiv":
        return f"https://arxiv.org/abs/{rest}"
    if scheme == "doi":
        return f"https://doi.org/{quote(rest, safe='/:;()')}"
    return identifier


def papers_of(entry: Entry) -> list[Paper]:
    """The papers that the docstring of a registered name names, in its order, each once.

    An entry is looked up in a `papers.bib` beside the module, then in that of csbench. A paper that neither has is
    described by its identifier alone.

    Raises:
        UsageError: the docstring has a word among its papers that is no identifier, or a `papers.bib` is malformed.
    """
    papers: dict[str, Paper] = {}
    for identifier in identifiers(entry.doc, f"{entry.path}: class {entry.class_name}"):
        known = _references(BIBLIOGRAPHY) | _references(entry.path.parent / BIBLIOGRAPHY.name)
        paper = _paper(identifier, known.get(_normal(identifier)))
        papers.setdefault(paper.key, paper)
    return list(papers.values())


def bibliography(path: Path = BIBLIOGRAPHY) -> dict[str, Reference]:
    """Key to entry of a BibTeX file.

    Values stand in braces or quotation marks, or are numbers; abbreviations (`@string`) are not known.

    Raises:
        UsageError: an entry is not closed, a key occurs twice, or a field is malformed.
    """
    references: dict[str, Reference] = {}
    for reference in _parse(path.read_text(encoding="utf-8-sig"), path):
        if reference.key in references:
            raise UsageError(f"{path}: two entries have the key {reference.key!r}; rename one")
        references[reference.key] = reference
    return references


def entry_text(kind: str, key: str, fields: dict[str, str]) -> str:
    """A BibTeX entry as text; values are not escaped."""
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])


def escaped(text: str) -> str:
    """Plain text for a BibTeX field: what TeX would take for a command is quoted, and braces are left out."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", text))


@lru_cache
def _references(path: Path) -> dict[str, Reference]:
    """Identifier to entry; empty where there is no such file."""
    known = bibliography(path).values() if path.is_file() else ()
    return {_normal(name): reference for reference in known for name in reference.identifiers}


def _normal(identifier: str) -> str:
    """DOIs are the same in upper and lower case, and all versions of a preprint are one paper."""
    if identifier.startswith("arXiv:"):
        return re.sub(r"v\d+$", "", identifier)
    return identifier.lower() if identifier.startswith("doi:") else identifier


def _paper(identifier: str, reference: Reference | None) -> Paper:
    url = link(identifier)
    if reference is not None:
        return Paper(reference.key, identifier, url, reference.short, reference.bibtex)
    name = identifier.partition(":")[2]
    key = re.sub(r"\W+", "-", name).strip("-").lower()
    fields = {"title": f"{{{escaped(identifier)}}}", "url": url}
    if identifier.startswith("arXiv:"):
        fields |= {"eprint": name, "archiveprefix": "arXiv"}
    elif identifier.startswith("doi:"):
        fields["doi"] = name
    return Paper(key, identifier, url, identifier, entry_text("misc", key, fields))


def _parse(text: str, path: Path) -> Iterator[Reference]:
    end = 0
    while head := HEAD.search(text, end):
        end = _closing(text, text.index("{", head.start()), path)
        fields = dict(_fields(text[head.end() : end - 1], f"{path}: entry {head[2]}"))
        yield Reference(head[2], fields, text[head.start() : end].strip())


def _fields(text: str, where: str) -> Iterator[tuple[str, str]]:
    position = 0
    while found := FIELD.match(text, position):
        start = found.end()
        if text[start : start + 1] == "{":
            end = _closing(text, start, where)
            value = text[start + 1 : end - 1]
        elif text[start : start + 1] == '"':
            end = text.find('"', start + 1) + 1
            value = text[start + 1 : end - 1]
        else:
            number = re.compile(r"\d*").match(text, start)
            end, value = (number.end(), number[0]) if number else (start, "")
        if not end or not value:
            raise UsageError(f"{where}: field {found[1]!r} must have a value in braces")
        yield found[1].lower(), " ".join(value.split())
        comma = re.compile(r"\s*,?").match(text, end)
        position = comma.end() if comma else end
    if text[position:].strip():
        raise UsageError(f"{where}: expected `name = {{value}},`, got {text[position:].split()[0]!r}")


def _closing(text: str, start: int, where: Path | str) -> int:
    """The position after the brace that closes the one at `start`."""
    depth = 0
    for brace in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    raise UsageError(f"{where}: a brace is not closed, after {text[start - 20 : start + 20].strip()!r}")


def _family_name(author: str) -> str:
    """`Bora` of `Bora, Ashish` and of `Ashish Bora`; the whole of `{The csbench developers}`."""
    plain = ACCENT.sub("", author)
    if author.startswith("{") and author.endswith("}"):
        return plain
    return plain.partition(",")[0].strip() if "," in plain else plain.split()[-1] if plain.split() else ""
