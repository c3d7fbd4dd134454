"""The web pages: their numbers, and what they do in a browser that reads them from the disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from csbench.catalogue.embedded import embedded_images
from csbench.catalogue.registry import entries
from csbench.catalogue.suites import load_suite
from csbench.core.errors import UsageError
from csbench.report import columns, gallery, tables
from csbench.report import statistics as stats
from csbench.report.comparisons import ratios
from csbench.report.ranking import standings
from csbench.report.samples import samples
from csbench.results.artefact_kinds import EVALUATIONS
from csbench.results.folder import results_file
from csbench.results.store import load_results, read_file, read_provenance, write_file
from csbench.site.data import dataset_facts, page_name, suite_data
from csbench.site.json_files import compare_json, suite_json, to_json
from csbench.site.methods import docstring_blocks
from csbench.site.pages import build, render, write
from csbench.site.styles import on_dark
from tests.conftest import ROOT

EVIL = "<script>alert(1)"
SECOND = "mean-of-mine"  # a name that no registered method has
SUITES = {
    "mnist-noise": ["mean", "lasso-dct", "lasso-wavelet", "tv", "mfa", "csgm-vae-fast"],
    "celeba-gaussian": ["mean", "lasso-dct", "lasso-wavelet", "pca-gaussian", "csgm-dcgan"],
}
GALLERY_LEVELS = [0.01, 3.0]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A part of the committed results, one method under a name that is not registered, and pictures for both suites."""
    folder = tmp_path_factory.mktemp("results")
    for suite, methods in SUITES.items():
        (folder / f"suite={suite}").mkdir()
        for method in methods:
            results_file(folder, suite, method).symlink_to(results_file(ROOT / "results", suite, method))
        store_pictures(folder, suite, methods[:3])
    for kind in ("representation", "evaluations"):
        (folder / kind).symlink_to(ROOT / "results" / kind)
    original = results_file(ROOT / "results", "mnist-noise", "mean")
    table = read_file(original)
    renamed = table.set_column(table.schema.get_field_index("method"), "method", pa.array([SECOND] * len(table)))
    write_file(results_file(folder, "mnist-noise", SECOND), renamed, read_provenance(original))
    return folder


def store_pictures(results: Path, suite: str, methods: list[str]) -> None:
    images = embedded_images("mnist")["test"][:3]
    truth = images.pixels / 255
    gallery.store(results, suite, gallery.TRUTH, gallery.frame_of(0, images.ids, truth, None, ""))
    for k, method in enumerate(methods, start=1):
        error = np.full(3, (10 * k / 255) ** 2)
        levels = [gallery.frame_of(at, images.ids, truth / 2 + k / 25.5, error, "") for at in GALLERY_LEVELS]
        gallery.store(results, suite, method, pd.concat(levels))


@pytest.fixture(scope="module")
def data(results):
    return {name: suite_data(name, results, ROOT / "docs" / "reference") for name in SUITES}


@pytest.fixture(scope="module")
def site(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write(folder, render(list(data.values())))
    return folder


# Numbers


@pytest.mark.parametrize("name", SUITES)
def test_curves_are_those_of_the_results_files(name, data, results):
    suite = load_suite(name)
    frame = load_results(name, results)
    found = json.loads(to_json(suite_json(data[name])))
    applications = EVALUATIONS.frame(EVALUATIONS.read(results, suite=name))
    table = standings(frame, suite)
    assert [m["name"] for m in found["methods"]] == [row.method for row in table.rows]
    weights = stats.resampling_weights(suite.images)
    for row, shown in zip(table.rows, found["methods"], strict=True):
        mse = [[row.errors[at].value, row.errors[at].low, row.errors[at].high] for at in suite.levels]
        np.testing.assert_allclose(np.array(shown["curves"]["mse"]), mse, rtol=1e-5)
        own = frame[(frame["method"] == row.method) & (frame["status"] == "ok")]
        for metric in ("psnr", "ssim", "relative_l2"):
            by_image = own.groupby(["image", suite.axis])[metric].mean().unstack()
            low, high = stats.interval(stats.weighted_means(weights, by_image.to_numpy()))
            expected = np.stack([by_image.mean(), low, high], axis=1)
            np.testing.assert_allclose(np.array(shown["curves"][metric]), expected, rtol=1e-5)
        assert shown["images"] == [suite.images_at(at) for at in suite.levels]
        cost = (own["cell_cpu_seconds"] / own["batch_size"]).groupby(own[suite.axis]).mean()
        np.testing.assert_allclose(shown["seconds"], cost, rtol=1e-5)
        counted = applications[applications["method"] == row.method].set_index(suite.axis)["per_image"]
        np.testing.assert_allclose(np.array(shown["applications"], float), counted.reindex(suite.levels), rtol=1e-5)


@pytest.mark.parametrize("name", SUITES)
def test_cells_are_those_of_the_leaderboard(name, data, results):
    suite = load_suite(name)
    table = standings(load_results(name, results), suite, EVALUATIONS.read(results, suite=name))
    for row, shown in zip(table.rows, data[name].rows, strict=True):
        for i, level in enumerate(suite.levels):
            cell = shown.cells[f"level-{i}"]
            assert cell == columns.error(suite, level).cell(row)
            assert cell.best == (level in row.best)
            assert cell.sort == row.errors[level].value
        assert shown.cells["score"] == columns.SCORE.cell(row)
        assert shown.cells["rank"].text == str(row.ranks[0])
        if row.ranks[1] != row.ranks[0]:
            assert shown.cells["rank"].below == f"to {row.ranks[1]}"
        assert shown.cells["applications"] == columns.applications(suite).cell(row)
    keys = [column.key for column in data[name].columns]
    assert ("saving" in keys) == (suite.axis == "m")


def test_savings_are_those_of_the_standings(data):
    celeba = data["celeba-gaussian"]
    found = {m["name"]: m["savings"] for m in suite_json(celeba)["methods"]}
    for row in celeba.table.rows:
        for level, (text, interval, sort) in zip(celeba.suite.levels, found[row.method], strict=True):
            expected = tables.markdown_cell(columns.saving(celeba.suite, level).cell(row))
            assert f"{text} {interval}".strip() == expected
            assert sort == min(row.savings[int(level)].value, 1e300)


@pytest.mark.parametrize("name", SUITES)
def test_ratios_of_all_pairs(name, data, results):
    suite = load_suite(name)
    errors = samples(load_results(name, results), suite)
    found = compare_json(data[name])
    for i, a in enumerate(found["methods"][:3]):
        for j, b in enumerate(found["methods"]):
            if i != j:
                expected = ratios(errors[a], errors[b])
                flat = [v for at in suite.levels for v in (expected[at].value, expected[at].low, expected[at].high)]
                np.testing.assert_allclose(found["ratios"][i][j], flat, rtol=1e-3)


def test_a_method_with_holes_has_no_numbers_where_it_has_holes(tmp_path):
    source = results_file(ROOT / "results", "mnist-noise", "tv")
    for method in ("lasso-dct", "mean"):
        path = results_file(tmp_path, "mnist-noise", method)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(results_file(ROOT / "results", "mnist-noise", method))
    table = read_file(source).to_pandas()
    holes = table[~((table["noise_norm"] == 3.0) & (table["image"] % 7 == 0))]
    kept = pa.Table.from_pandas(holes, preserve_index=False, schema=read_file(source).schema)
    write_file(results_file(tmp_path, "mnist-noise", "tv"), kept, read_provenance(source))
    found = suite_data("mnist-noise", tmp_path)
    tv = next(row for row in found.rows if row.method == "tv")
    hole = found.suite.levels.index(3.0)
    for curve in tv.curves.values():
        assert [i for i, e in enumerate(curve) if e is None] == [hole]
    assert tv.cells[f"level-{hole}"].words == "not run"
    assert tv.images[hole] == 0
    ratio = json.loads(to_json(compare_json(found)))
    i, j = ratio["methods"].index("tv"), ratio["methods"].index("mean")
    assert [ratio["ratios"][i][j][3 * k] is None for k in range(len(found.suite.levels))].count(True) == 1


def test_facts_of_datasets_are_those_of_the_classes():
    from csbench.catalogue.registry import get_dataset

    for name in entries("datasets"):
        dataset = get_dataset(name)
        assert dataset_facts(name) == (dataset.n, dataset.restricted)
    assert dataset_facts("nobody-knows-this") == (0, True)


def test_docstrings_are_taken_apart():
    blocks = docstring_blocks(
        "One line\nthat goes on.\n\nAttributes:\n    alpha: the\n        penalty: x.\n    tol: gap.\n\n"
        "Papers: arXiv:1703.03208"
    )
    assert blocks[0].text == "One line that goes on."
    assert len(blocks) == 2
    assert blocks[1].fields == (("alpha", "the penalty: x."), ("tol", "gap."))


def test_colours_on_black_are_legible():
    assert on_dark("#E69F00") == "#e69f00"
    dark = on_dark("#000000")
    assert len(set(re.findall("..", dark[1:]))) == 1
    assert int(dark[1:3], 16) > 100


# Files


def test_published_curves_have_their_source(site):
    page = (site / "suite" / "celeba-gaussian.html").read_text()
    assert "CACTuS-AI/GlowIP" in page
    found = json.loads(re.search(r"= (.*);", (site / "data" / "suite-celeba-gaussian.js").read_text())[1])
    glow = next(p for p in found["published"] if p["label"] == "glow" and p["metric"] == "psnr")
    assert glow["points"][0] == [20, 15.75]


def test_methods_link_to_their_papers(site):
    assert (
        '<a href="https://arxiv.org/abs/1703.03208" rel="noreferrer">Bora et al. 2017</a>'
        in (site / "method" / "csgm-vae-fast.html").read_text()
    )


def test_no_picture_of_a_restricted_dataset(site):
    assert (site / "gallery" / "mnist-noise" / "_truth.png").is_file()
    assert not (site / "gallery" / "celeba-gaussian").exists()
    assert "Reconstructions" not in (site / "suite" / "celeba-gaussian.html").read_text()


def test_sprites_hold_the_stored_pixels(site):
    from PIL import Image

    images = embedded_images("mnist")["test"][:3]
    sheet = np.asarray(Image.open(site / "gallery" / "mnist-noise" / "mean.png"))
    assert sheet.shape == (28 * len(GALLERY_LEVELS), 28 * 3)
    np.testing.assert_allclose(sheet[28:, 56:], images.pixels[2, 0] / 2 + 10, atol=0.6)


def test_small(site):
    files = [path for path in site.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files if path.suffix != ".png")
    assert 1e6 < size < 2e6
    assert sum(path.stat().st_size for path in files if path.parent.name != "assets") < 700_000


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for key, value in attrs if key in ("href", "src")]


def test_links_lead_to_files(site):
    for page in site.rglob("*.html"):
        links = Links()
        links.feed(page.read_text())
        assert links.found
        for link in links.found:
            parts = urlsplit(link)
            if parts.scheme not in ("http", "https", "data"):
                assert not parts.netloc
                assert (page.parent / unquote(parts.path)).is_file() or not parts.path, f"{page}: {link}"
            elif parts.scheme != "data":
                assert f'<a href="{link}"' in page.read_text(), (
                    "only links lead elsewhere, nothing is loaded from there"
                )


def test_names_and_docstrings_are_escaped(site, data, results, monkeypatch):
    from csbench.catalogue import registry

    evil = replace(registry.entries("methods")["mean"], doc=f"A `{EVIL}` {EVIL}</script>")
    monkeypatch.setattr(
        "csbench.catalogue.registry.entries",
        lambda kind: {"mean": evil} if kind == "methods" else entries(kind),
    )
    from csbench.site import pages

    shown = pages.method_data("mean", [data["mnist-noise"]])
    text = (
        pages._environment()
        .get_template("method.html")
        .render(root="../", version="", method=shown, curves=to_json(pages.method_json(shown)))
    )
    assert EVIL not in text
    assert "<code>&lt;script&gt;alert(1)</code> &lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_page_names():
    assert page_name("csgm-ambient-block-pixels-p0.5") == "csgm-ambient-block-pixels-p0.5"
    assert re.fullmatch(r"[A-Za-z0-9._-]+", page_name(EVIL))
    assert page_name("a b") != page_name("a_b")


def test_another_build_gives_the_same_bytes_and_removes_old_pages(site, results, tmp_path):
    copy = shutil.copytree(site, tmp_path / "copy")
    (copy / "method" / "gone.html").write_text("old")
    (copy / "CNAME").write_text("example.org")
    build(copy, results, ["mnist-noise"])
    assert not (copy / "method" / "gone.html").exists()
    assert not (copy / "suite" / "celeba-gaussian.html").exists()
    assert (copy / "CNAME").read_text() == "example.org"
    for part in ("assets/vega.js", "data/compare-mnist-noise.js", "suite/mnist-noise.html", "assets/style.css"):
        assert (copy / part).read_bytes() == (site / part).read_bytes()


def test_a_folder_with_other_things_is_left_alone(results, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds other things"):
        build(tmp_path, results, SUITES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_missing_package_is_named(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UsageError, match=r"vl_convert.*pip install .*\[site\]"):
        build(tmp_path / "new", results, SUITES)


def test_no_results(tmp_path):
    with pytest.raises(UsageError, match="no results of quick"):
        build(tmp_path / "new", tmp_path, ["quick"])


def test_the_command_works_without_torch(results, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from csbench.cli import main; main()"
    command = [sys.executable, "-c", code, "site", "-o", tmp_path / "out", "--results", results, "celeba-gaussian"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "index.html" in done.stdout
    assert (tmp_path / "out" / "suite" / "celeba-gaussian.html").is_file()


# In a browser


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no browser: neither $CHROMIUM nor `chromium` in the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser, site):
    """Opens a page of the site; at the end of the test nothing may have been logged, or asked from anywhere else."""
    problems: list[str] = []
    contexts = []

    def open_(address: str, **options):
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options)))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: problems.append(f"{page.url}: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or problems.append(f"{page.url}: {r.url}"))
        page.on("requestfailed", lambda request: problems.append(f"{page.url}: failed: {request.url}"))
        page.goto(f"{site.as_uri()}/{address}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def drawn(page, selector="#plot"):
    page.wait_for_selector(f"{selector}[data-drawn]")
    return page.locator(f'{selector} path[aria-roledescription="line mark"]').count()


def after_drawing(page, act, selector="#plot"):
    before = int(page.get_attribute(selector, "data-drawn"))
    act()
    page.wait_for_function("([s, n]) => Number(document.querySelector(s).dataset.drawn) > n", arg=[selector, before])


def column(page, key):
    """Texts of a column's cells that are shown, from the top."""
    return page.evaluate(
        """key => {
            const i = [...document.querySelectorAll('#table thead th')].findIndex(th => th.dataset.key === key);
            const rows = [...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden);
            return rows.map(r => r.cells[i].innerText);
        }""",
        key,
    )


def methods(page):
    return [text.split("\n")[0] for text in column(page, "method")]


def test_every_page_loads(open_page, site):
    page = open_page("index.html")
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.title()
        assert page.locator("h1").count() == 1
        if path.parent.name in ("suite", "method"):
            selector = ".plot" if path.parent.name == "suite" else ".plot.small"
            page.wait_for_selector(f"{selector}[data-drawn] svg")


def test_choosing_methods_changes_the_plot(open_page):
    page = open_page("suite/celeba-gaussian.html")
    first = drawn(page)
    after_drawing(page, lambda: page.get_by_role("button", name="none", exact=True).click())
    assert drawn(page) < first
    published = drawn(page)
    after_drawing(page, lambda: page.get_by_label("csgm-dcgan", exact=True).check())
    assert drawn(page) == published + 1
    assert "methods=csgm-dcgan" in page.url
    assert page.locator("#legend span:not(.published)").all_inner_texts() == ["csgm-dcgan"]
    assert "glow, published" in page.locator("#legend").inner_text()
    after_drawing(page, lambda: page.get_by_role("button", name="all", exact=True).click())
    assert drawn(page) == published + len(SUITES["celeba-gaussian"])
    after_drawing(page, lambda: page.get_by_role("button", name="best of each family").click())
    assert page.locator("#checkboxes input:checked").count() == page.locator("#checkboxes fieldset").count()


def test_axis_and_metric(open_page):
    page = open_page("suite/mnist-noise.html")
    drawn(page)
    shape = page.locator('#plot path[aria-roledescription="line mark"]').first
    log = shape.get_attribute("d")
    after_drawing(page, lambda: page.get_by_label("vertical axis").select_option("linear"))
    assert shape.get_attribute("d") != log
    assert page.url.endswith("y=linear")
    after_drawing(page, lambda: page.get_by_label("metric").select_option("psnr"))
    assert "PSNR (dB)" in page.locator("#plot").inner_text()
    assert page.get_by_label("vertical axis").input_value() == "linear"
    assert "y=" not in page.url


def test_hovering_shows_the_number(open_page, data):
    page = open_page("suite/mnist-noise.html#methods=mfa")
    drawn(page)
    mfa = next(row for row in data["mnist-noise"].rows if row.method == "mfa")
    points = page.locator("#plot g.mark-symbol").last.locator("path")
    points.nth(3).hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    text = tip.inner_text()
    assert "mfa" in text
    assert f"{mfa.curves['mse'][3].value:.4g}" in text
    assert "100" in text


def test_sorting_by_click_and_keyboard(open_page, data):
    page = open_page("suite/mnist-noise.html")
    by_rank = methods(page)
    assert by_rank == [row.method for row in data["mnist-noise"].rows]
    heading = page.locator('th[data-key="level-6"]')
    heading.get_by_role("button").click()
    expected = sorted(data["mnist-noise"].rows, key=lambda row: row.curves["mse"][6].value)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text.split()[0]) for text in column(page, "level-6")] == [
        float(row.cells["level-6"].text) for row in expected
    ]
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.locator("th[aria-sort]").count() == 1
    assert methods(page)[0] == expected[-1].method
    page.locator('th[data-key="method"] button').focus()
    page.keyboard.press("Space")
    assert methods(page) == sorted(by_rank)


def test_filters(open_page, data):
    page = open_page("suite/mnist-noise.html")
    rows = data["mnist-noise"].rows
    page.locator("#filter-family").select_option("sparse")
    assert methods(page) == [row.method for row in rows if row.family == "sparse"]
    assert page.locator("#count").inner_text() == f"2 of {len(rows)} methods"
    page.locator("#filter-family").select_option("")
    page.locator("#filter-learned").select_option("clean images")
    assert methods(page) == [row.method for row in rows if row.standing.learned_from == "clean images"]
    page.locator("#filter-oracle").select_option("yes")
    assert methods(page) == []


def test_a_link_restores_the_view(open_page):
    page = open_page(
        "suite/mnist-noise.html#methods=tv,mfa&metric=ssim&y=log&family=learned&sort=level-2:descending&cost=1"
        "&cost-by=applications"
        "&gallery-at=1&gallery-image=2"
    )
    drawn(page)
    assert page.locator("#checkboxes input:checked").evaluate_all("boxes => boxes.map(b => b.value).sort()") == [
        "mfa",
        "tv",
    ]
    assert page.locator("#metric").input_value() == "ssim"
    assert page.locator("#scale").input_value() == "log"
    assert page.locator("#cost-at").input_value() == "1"
    assert page.locator("#cost-by").input_value() == "applications"
    assert page.locator('th[data-key="level-2"]').get_attribute("aria-sort") == "descending"
    assert methods(page) == [SECOND, "mfa"]
    assert page.locator("#gallery-images img").first.get_attribute("alt").endswith("truth")
    after_drawing(page, lambda: page.evaluate("location.hash = 'methods=tv'"))
    assert page.locator("#legend span").all_inner_texts() == ["tv"]
    assert page.locator("#metric").input_value() == "mse"


def test_table_shows_the_formatted_numbers(open_page, data):
    page = open_page("suite/celeba-gaussian.html")
    celeba = data["celeba-gaussian"]
    for shown in celeba.columns:
        texts = [" ".join(text.split()) for text in column(page, shown.key)]
        cells = [row.cells[shown.key] for row in celeba.rows]
        assert texts == [" ".join(f"{c.text} {c.signs} {c.below or c.small}".split()) for c in cells], shown.key
        assert page.locator(f'th[data-key="{shown.key}"]').get_attribute("title") == shown.says
    page.get_by_label("saving at").select_option("0")
    savings = [" ".join(text.split()) for text in column(page, "saving")]
    first = columns.saving(celeba.suite, 20)
    assert savings == [tables.markdown_cell(first.cell(row.standing)) for row in celeba.rows]


def test_compare(open_page, results):
    page = open_page("compare.html?suite=mnist-noise&a=mfa&b=tv&at=0.3")
    page.wait_for_selector("#plot[data-drawn] svg")
    errors = samples(load_results("mnist-noise", results), load_suite("mnist-noise"))
    found = ratios(errors["mfa"], errors["tv"])
    numbers = [float(v) for v in re.findall(r"\d+\.\d+", page.locator("#sentence").inner_text())]
    np.testing.assert_allclose(numbers[:3], [found[0.3].value, found[0.3].low, found[0.3].high], rtol=6e-3)
    assert page.locator("#sentence").inner_text().startswith("mfa's error is")
    assert page.locator("#ratios tbody tr").count() == len(found)
    page.get_by_role("button", name="swap").click()
    assert page.locator("#sentence").inner_text().startswith("tv's error is")
    assert "a=tv&b=mfa" in page.url
    page.get_by_label("suite").select_option("celeba-gaussian")
    page.wait_for_function("document.querySelectorAll('#ratios tbody tr').length === 10")
    assert "suite=celeba-gaussian" in page.url


def test_pictures_are_shown(open_page):
    page = open_page("suite/mnist-noise.html")
    page.locator("#gallery-images").scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('#gallery-images img')].every(i => i.complete && i.naturalWidth)"
    )
    alternatives = page.locator("#gallery-images img").evaluate_all("all => all.map(i => i.alt)")
    assert len(alternatives) == 4
    assert all("image" in text for text in alternatives)
    before = page.locator("#gallery-images img").nth(1).get_attribute("style")
    page.locator("#gallery-image").select_option("1")
    assert page.locator("#gallery-images img").nth(1).get_attribute("style") != before


def test_narrow_and_dark(open_page, site):
    narrow = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    page = open_page("index.html", **narrow)
    for path in ("index.html", "suite/celeba-gaussian.html", "method/csgm-vae-fast.html", "compare.html"):
        page.goto(f"{site.as_uri()}/{path}")
        if path != "index.html":
            page.wait_for_selector(".plot[data-drawn] svg")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    label = page.locator("#plot .role-axis-label text").first
    assert label.get_attribute("fill") == "#e6e8eb"
