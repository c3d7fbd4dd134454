"""`csbench site`: static pages from the results, for reading from a disk or any web server; nothing is fetched."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from csbench import __version__
from csbench.core.errors import UsageError
from csbench.core.files import write_atomically
from csbench.report import columns, texts
from csbench.report.curves import AXES
from csbench.report.families import METHOD_KINDS
from csbench.site.data import METRICS, Row, SuiteData, page_name, suite_data
from csbench.site.json_files import compare_json, suite_json, to_json
from csbench.site.methods import method_data, method_json
from csbench.site.styles import styles

TEMPLATES = Path(__file__).parent / "templates"
OWN_FOLDERS = ("suite", "method", "data", "assets", "gallery")
GENERATOR = '<meta name="generator" content="csbench site">'
SCRIPTS = ("common.js", "suite.js", "compare.js", "method.js", "style.css")


def build(output: Path, results: Path, names: Iterable[str], references: Path | None = None) -> list[Path]:
    """Write the pages of these suites into a folder, and remove what an older build left there.

    Returns:
        the files, relative to the folder.

    Raises:
        UsageError: jinja2 or vl-convert-python is not installed; no suite has results; the folder holds other things.
        ResultsError: a results file cannot be trusted.
    """
    _environment()
    _check_folder(output)
    suites = [data for name in names if (data := suite_data(name, results, references)) is not None]
    if not suites:
        raise UsageError(f"no results of {', '.join(names)} in {results}/; run `csbench run SUITE` first")
    files = render(suites)
    write(output, files)
    return [Path(name) for name in files]


def render(suites: list[SuiteData]) -> dict[str, bytes]:
    """All files of the site, by name."""
    templates = _environment()
    files: dict[str, bytes] = {}

    def page(name: str, template: str, depth: int, **values: Any) -> None:
        text = templates.get_template(template).render(root="../" * depth, suites=suites, version=__version__, **values)
        files[name] = text.encode(errors="backslashreplace")  # a command in provenance may name any file

    page("index.html", "index.html", 0, methods=_by_family(suites))
    page("compare.html", "compare.html", 0)
    for data in suites:
        name = data.suite.name
        page(f"suite/{name}.html", "suite.html", 1, data=data, families=METHOD_KINDS)
        files[f"data/suite-{name}.js"] = f"window.csbenchSuite = {to_json(suite_json(data))};\n".encode()
        files[f"data/compare-{name}.js"] = (
            f"(window.csbenchCompare ??= {{}})[{to_json(name)}] = {to_json(compare_json(data))};\n".encode()
        )
        files |= _sprites(data)
    for method in sorted({row.method for data in suites for row in data.rows}):
        shown = method_data(method, suites)
        page(f"method/{shown.page}.html", "method.html", 1, method=shown, curves=to_json(method_json(shown)))
    for script in SCRIPTS:
        files[f"assets/{script}"] = (TEMPLATES / script).read_bytes()
    files["assets/styles.js"] = f"window.csbenchStyles = {to_json(styles())};\n".encode()
    files["assets/vega.js"] = _vega()
    return files


def write(output: Path, files: dict[str, bytes]) -> None:
    """Put the files into the folder, and remove all others from the site's own sub-folders."""
    for name, content in files.items():
        path = output / name
        if not (path.is_file() and path.read_bytes() == content):
            write_atomically(path, content)
    for folder in OWN_FOLDERS:
        for path in sorted((output / folder).rglob("*")):
            if path.is_file() and path.relative_to(output).as_posix() not in files:
                path.unlink()


def _by_family(suites: list[SuiteData]) -> list[tuple[str, list[Row]]]:
    """Every method once, by family and name."""
    rows = {row.method: row for data in suites for row in data.rows}
    return [
        (family, members)
        for family in METHOD_KINDS
        if (members := [rows[name] for name in sorted(rows) if rows[name].family == family])
    ]


def _environment() -> Any:
    try:
        import jinja2
        import vl_convert  # noqa: F401  asked for before anything is computed
    except ImportError as error:
        raise UsageError(
            f"`csbench site` needs the package {error.name}: pip install -c constraints.txt -e '.[site]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "generator": GENERATOR,
        "score_words": columns.SCORE.says,
        "level_name": texts.level_name,
        "metrics": {name: AXES[name][0] for name in METRICS},
        "page_name": page_name,
    }
    return environment


@lru_cache
def _vega() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script that defines `vegaEmbed` and nothing else."""
    import vl_convert

    return f"(() => {{{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();\n".encode()


def _check_folder(output: Path) -> None:
    """Only a new folder, an empty one, or one that holds a site is written to, for old pages there are removed."""
    if output.is_file():
        raise UsageError(f"{output} is a file; name a folder")
    index = output / "index.html"
    ours = index.is_file() and GENERATOR.encode() in index.read_bytes()
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise UsageError(f"{output}/ holds other things than a site of csbench; name another folder, or empty it")


def _sprites(data: SuiteData) -> dict[str, bytes]:
    """One PNG for each method of a gallery: a row for each level, a column for each image, every pixel once."""
    found = data.gallery
    if found is None:
        return {}
    folder = f"gallery/{data.suite.name}"
    sheets = {"_truth": found.truth[None]}
    if found.measurements is not None:
        sheets["_measurements"] = found.measurements
    sheets |= {page_name(name): pixels for name, (pixels, _) in found.methods.items()}
    return {f"{folder}/{name}.png": _png(pixels) for name, pixels in sheets.items()}


def _png(pixels: np.ndarray) -> bytes:
    """Pictures [rows, columns, c, h, w], uint8, without gaps."""
    from PIL import Image

    rows, across, c, h, w = pixels.shape
    sheet = pixels.transpose(0, 3, 1, 4, 2).reshape(rows * h, across * w, c)
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if c == 1 else sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
