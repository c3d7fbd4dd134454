"""Papers in docstrings, their entries, and what `csbench cite` prints."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cffconvert import Citation
from pybtex.database import parse_string
from pybtex.style.formatting.plain import Style
from ruamel.yaml import YAML

from csbench import __version__, load_suite
from csbench.catalogue.papers import BIBLIOGRAPHY, bibliography, identifiers, link, papers_of
from csbench.catalogue.registry import entries
from csbench.core.errors import UsageError
from csbench.report.citation import AUTHOR, TITLE, cite_method
from csbench.results.store import methods_with_results, results_digest
from tests.conftest import ROOT

WITHOUT = {"methods": {"zeros", "mean"}, "datasets": {"natural"}}  # baselines, and photographs that nobody wrote of
REGISTERED = [entry for kind in WITHOUT for entry in entries(kind).values()]
RESULTS = ROOT / "results"

PLUGIN = '''
from dataclasses import dataclass
import torch
from csbench import Method

@dataclass(frozen=True)
class FirstIdea(Method):
    """Grey everywhere (Nobody and Others 2031).

    Papers: arXiv:3101.00001v2, doi:10.9999/not(in)any_Bibliography, arXiv:1703.03208
    """
    def recover(self, given, rng):
        return torch.full((given.batch, given.n), 0.5, dtype=given.y.dtype)

@dataclass(frozen=True)
class SecondIdea(FirstIdea):
    """Grey, and worse.

    Papers: see our web page
    """
'''
PLUGIN_BIB = """
@String(ignored = "x")
@article{nobody2031, author = "Nobody, {\\'A}da and Others, One", title={A {Whole} Idea},
  YEAR = 2031, journal = {J. of Ideas}, eprint={3101.00001}}
"""


def keys(bibtex: str) -> list[str]:
    """Keys of entries, read and set in the plain style by a parser that knows nothing of ours."""
    data = parse_string(bibtex, "bibtex")
    assert len(list(Style().format_entries(data.entries.values()))) == len(data.entries)
    return list(data.entries)


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_all_but_baselines_name_papers_that_the_bibliography_has(kind):
    known = bibliography()
    found = {name: papers_of(entry) for name, entry in entries(kind).items()}
    assert {name for name, papers in found.items() if not papers} == WITHOUT[kind]
    assert {paper.key for papers in found.values() for paper in papers} <= known.keys()


def test_every_entry_is_named_by_a_docstring():
    assert {paper.key for entry in REGISTERED for paper in papers_of(entry)} == bibliography().keys()


@pytest.mark.parametrize("entry", REGISTERED, ids=lambda entry: entry.name)
def test_docstrings_tell_whose_papers_they_are(entry):
    """An identifier of another paper than the one that is meant would show here."""
    for paper in papers_of(entry):
        first = re.split(" and | et al|  *[0-9]", paper.short)[0]
        assert first in entry.doc, f"{entry.class_name} cites {paper.short}"


def test_first_paragraphs_stay_free_of_identifiers():
    assert not [entry.name for entry in REGISTERED if re.search(r"Papers:|arXiv:|doi:", entry.summary)]


def test_links():
    assert link("arXiv:math/0409186") == "https://arxiv.org/abs/math/0409186"
    assert link("doi:10.1016/0167-2789(92)90242-F") == "https://doi.org/10.1016/0167-2789(92)90242-F"
    assert link("doi:10.1002/(SICI)1<2::AID#3>4") == "https://doi.org/10.1002/(SICI)1%3C2::AID%233%3E4"
    for paper in (paper for entry in REGISTERED for paper in papers_of(entry)):
        parts = urlsplit(paper.url)
        assert parts.scheme == "https"
        assert re.fullmatch(r"[a-z.]+\.(org|net|edu)", parts.netloc)
        assert paper.identifier.partition(":")[2].strip("/") in paper.url


def test_our_parser_agrees_with_another():
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    ours, theirs = bibliography(), parse_string(text, "bibtex").entries
    assert list(ours) == list(theirs)
    for key, reference in ours.items():
        entry = theirs[key]
        assert {name: value for name, value in reference.fields.items() if name != "author"} == dict(entry.fields)
        assert reference.fields["author"].count(" and ") + 1 == len(entry.persons["author"])
        (alone,) = parse_string(reference.bibtex, "bibtex").entries.values()
        assert alone == entry


def test_keys_are_first_author_and_year():
    for key, reference in bibliography().items():
        names = re.split(" and | et al", reference.short)
        assert key == re.sub(r"\W", "", names[0].split(" ")[0].lower()) + reference.fields["year"]
    shorts = {reference.short for reference in bibliography().values()}
    assert {"Bora et al. 2017", "Needell and Tropp 2009", "Tibshirani 1996", "Candes et al. 2006"} <= shorts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@book{a, title = {A}", "a brace is not closed"),
        ("@book{a, title = {A}}\n@book{a, title = {B}}", "two entries have the key 'a'"),
        ("@book{a, title = nonsense}", "entry a: field 'title' must have a value in braces"),
        ("@book{a, title {A}}", "entry a: expected `name = {value},`, got 'title'"),
    ],
)
def test_malformed_bibliographies_are_named(tmp_path, text, message):
    path = tmp_path / "papers.bib"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        bibliography(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("word", ["arxiv.org/abs/1703.03208", "10.1109/83.661180", "arXiv:17.3", "doi:11.1/2", "Bora"])
def test_words_that_are_no_identifiers_are_named(word):
    with pytest.raises(UsageError, match=re.escape(f"class X: {word!r}")):
        identifiers(f"A method.\n\nPapers: arXiv:1703.03208, {word}\n\nMore.", "class X")


def test_the_paragraph_ends_where_a_docstring_goes_on():
    doc = "Papers of all kinds (arXiv:0.0).\n\nPapers: arXiv:1703.03208,\ndoi:10.1109/83.661180\n\nAttributes:\n  a: b"
    assert identifiers(doc) == ["arXiv:1703.03208", "doi:10.1109/83.661180"]
    assert identifiers("No papers: arXiv:1703.03208") == []


def test_citing_csbench(csbench):
    done = csbench("cite")
    assert done.returncode == 0
    assert keys(done.stdout) == ["csbench"]
    assert __version__ in done.stdout


def test_citing_a_suite(csbench):
    """The hash is that of the files, computed here on its own, and the one that the leaderboard prints."""
    done = csbench("cite", "mnist-deblur", "--results", RESULTS)
    assert done.returncode == 0, done.stderr
    files = sorted((RESULTS / "suite=mnist-deblur").iterdir())
    whole = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    digest = hashlib.sha256(whole).hexdigest()[:12]
    assert done.stdout.count(f"results {digest}") == 2  # in the entry of the suite, and in the protocol
    assert digest == results_digest(RESULTS, "mnist-deblur")  # which the leaderboard prints

    cited = keys(done.stdout)
    assert cited[:3] == ["csbench", "csbench-mnist-deblur", "bora2017"]
    assert cited[-1] == "lecun1998"
    names = {path.stem.removeprefix("method=") for path in files} - {"d-amp"}  # which does not apply to blurs
    assert {paper.key for name in names for paper in papers_of(entries("methods")[name])} <= set(cited)
    assert "metzler2016" not in cited
    assert "% Without a paper: mean, zeros\n" in done.stdout

    suite, protocol = load_suite("mnist-deblur"), done.stdout.splitlines()[-1]
    assert protocol.startswith(f"% Protocol: csbench {__version__}, suite mnist-deblur version {suite.version}: ")
    for fact in (
        "dataset mnist", "operator gaussian-blur:sigma=2", "m = 784", "= 0.01, 0.03, 0.1, 0.3, 1, 3,",
        f"{suite.images} test images", "1 draw of A per noise norm", "the same y for all methods",
        "mean squared error per pixel", "95% intervals by bootstrap over images",
    ):  # fmt: skip
        assert fact in protocol


def test_fewer_images_are_in_the_protocol(csbench):
    protocol = csbench("cite", "celeba-gaussian", "--results", RESULTS).stdout.splitlines()[-1]
    assert "64 test images (16 from m = 5000)" in protocol


def test_other_results_have_another_hash(tmp_path):
    folder = tmp_path / "suite=mnist-deblur"
    folder.mkdir()
    for method in ("zeros", "tv", "d-amp"):
        shutil.copy(RESULTS / "suite=mnist-deblur" / f"method={method}.parquet", folder)
    suite = load_suite("mnist-deblur")
    assert methods_with_results(tmp_path, suite) == ["tv", "zeros"]
    before = results_digest(tmp_path, suite.name)
    (folder / "method=tv.parquet").unlink()
    assert len({before, results_digest(tmp_path, suite.name), results_digest(RESULTS, suite.name)}) == 3


def test_what_is_printed_of_every_method_parses():
    for entry in entries("methods").values():
        assert keys(cite_method(entry)) == ["csbench", *(paper.key for paper in papers_of(entry))]


def test_a_plug_in_brings_its_own_papers(csbench, install_plugin):
    path = install_plugin("ideas", PLUGIN)
    (path.parent / "papers.bib").write_text(PLUGIN_BIB)
    done = csbench("cite", "first-idea")
    assert done.returncode == 0, done.stderr
    assert keys(done.stdout) == ["csbench", "nobody2031", "10-9999-not-in-any_bibliography", "bora2017"]
    assert "A {Whole} Idea" in done.stdout
    assert "https://doi.org/10.9999/not(in)any_Bibliography" in done.stdout
    assert r"title = {{doi:10.9999/not(in)any\_Bibliography}}" in done.stdout  # TeX takes _ for a subscript
    done = csbench("cite", "second-idea")
    assert done.returncode == 2
    assert f"{path}: class SecondIdea: 'see' in the paragraph `Papers:` is no identifier" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lasso-dtc"], "unknown suite or method 'lasso-dtc'. Did you mean 'lasso-dct'?"),
        (["mnist-gausian"], "Did you mean 'mnist-gaussian'?"),
        (["mnist-gaussian"], "no results of mnist-gaussian in results/; run `csbench run mnist-gaussian`"),
        (["none.toml"], "none.toml: no such file"),
    ],
)
def test_wrong_names_exit_with_2(csbench, arguments, message):
    done = csbench("cite", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


def test_citing_needs_no_torch(tmp_path, environment):
    """In an interpreter that refuses to import it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refusal:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, Refusal())\n"
    )
    paths = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=environment | {"PYTHONPATH": paths}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    assert "no torch here" in run("-c", "import torch").stderr
    for arguments in ([], ["csgm-vae"], ["mnist-gaussian", "--results", str(RESULTS)]):
        done = run("-m", "csbench", "cite", *arguments)
        assert done.returncode == 0, done.stderr
        assert keys(done.stdout)[0] == "csbench"
    listed = run("-m", "csbench", "list", "methods", "--json")
    assert "https://arxiv.org/abs/1703.03208" in listed.stdout


def test_importing_papers_imports_nothing_heavy():
    tree = ast.parse((ROOT / "csbench" / "catalogue" / "papers.py").read_text())
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in modules} <= set(sys.stdlib_module_names) | {"csbench"}


def test_citation_file_is_valid_and_says_what_cite_says():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    Citation(text).validate()
    facts = YAML(typ="safe", pure=True).load(text)
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["project"]
    assert facts["title"] == TITLE
    assert [author["name"] for author in facts["authors"]] == [AUTHOR.strip("{}")]
    assert facts["version"] == project["version"] == __version__
    assert facts["license"] == project["license"]
    for reference, key in zip(facts["references"], ("bora2017", "bora2018"), strict=True):
        entry = bibliography()[key]
        names = [f"{author['family-names']}, {author['given-names']}" for author in reference["authors"]]
        assert " and ".join(names) == entry.fields["author"]
        assert reference["title"] == re.sub("[{}]", "", entry.fields["title"])
        assert reference["year"] == int(entry.fields["year"])
        assert reference["url"] in {link(name) for name in entry.identifiers}
