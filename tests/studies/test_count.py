from dataclasses import asdict, dataclass, replace

import pandas as pd
import pytest
import torch

from csbench import Measurement, Method, load_suite
from csbench.catalogue.registry import get_method
from csbench.catalogue.suites import Suite
from csbench.freshness.lineage import Lineage
from csbench.operators import Gaussian, LinearOperator, SubsampledDCT
from csbench.report import columns, tables
from csbench.report.leaderboard import board, published_suites, render_suite
from csbench.report.standings import standings
from csbench.results.artefact_kinds import EVALUATIONS
from csbench.results.evaluations import Evaluations
from csbench.runner.problem import Problem
from csbench.studies.count import count
from tests.conftest import ROOT
from tests.results.test_artefacts import proof

M, N, BATCH = 12, 64, 3
BROKEN = """
from dataclasses import dataclass
from csbench import Method

@dataclass(frozen=True)
class Breaks(Method):
    def recover(self, given, rng):
        raise ValueError("no")
"""


def given_by(family: type[LinearOperator]) -> Measurement:
    A = family.draw(M, N, torch.Generator().manual_seed(0))
    y = torch.randn(BATCH, M, generator=torch.Generator().manual_seed(1))
    return Measurement(A, y, 0.01, (1, 8, 8))


@dataclass(frozen=True)
class Landweber(Method):
    """Gradient steps on ||A x - y||^2, after one product with the identity, in some dtype."""

    steps: int = 7
    differentiate: bool = False
    dtype: torch.dtype = torch.float32

    def recover(self, given, rng):
        A, y = given.A.to(self.dtype), given.y.to(self.dtype)
        step = 1 / torch.linalg.matrix_norm(A.adjoint(torch.eye(A.shape[0], dtype=self.dtype)), 2) ** 2
        x = y.new_zeros(len(y), A.shape[1])
        for _ in range(self.steps):
            if self.differentiate:
                x = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad((A(x) - y).square().sum() / 2, x)
            else:
                gradient = A.adjoint(A(x) - y)
            x = x.detach() - step * gradient
        return x.to(given.y.dtype)


class Solves(Method):
    """Takes the matrix, and does not mind if it cannot."""

    def recover(self, given, rng):
        try:
            return given.y @ torch.linalg.pinv(given.A.matrix()).T
        except Exception:
            return given.A.adjoint(given.y)


class Blocks(Method):
    """A^T y by blocks of rows."""

    def recover(self, given, rng):
        blocks = given.A.row_blocks(5)
        return torch.stack([block.adjoint(given.y[:, rows]) for rows, block in blocks]).sum(0)


@pytest.mark.parametrize("differentiate", [False, True], ids=["adjoint", "autograd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("family", [Gaussian, SubsampledDCT])
def test_what_is_done_once_is_told_from_what_is_done_for_each_image(differentiate, dtype, family):
    found = count(Landweber(7, differentiate, dtype), given_by(family), 0)
    assert found == Evaluations(False, once=M, per_image=2 * 7)


@pytest.mark.parametrize("family", [Gaussian, SubsampledDCT])
def test_counting_changes_no_answer(family):
    given, seen = given_by(family), []

    class Tells(Landweber):
        def recover(self, given, rng):
            seen.append(super().recover(given, rng)[:BATCH])
            return seen[-1]

    count(Tells(), given, 0)
    torch.testing.assert_close(seen[0], Landweber().recover(given, torch.Generator()), rtol=0, atol=0)
    torch.testing.assert_close(seen[1], seen[0])


@pytest.mark.parametrize("family", [Gaussian, SubsampledDCT])
def test_a_method_that_takes_the_matrix_is_marked_even_if_it_catches_exceptions(family):
    assert count(Solves(), given_by(family), 0).takes_matrix


@pytest.mark.parametrize("family", [Gaussian, SubsampledDCT])
def test_blocks_of_rows_count_as_their_share(family):
    assert count(Blocks(), given_by(family), 0).per_image == pytest.approx(1)


def test_a_search_in_latent_space_counts_as_its_parameters_say():
    given, _ = Problem("mnist", "gaussian", 25, 0.1, 0, 2).simulate()
    method = replace(get_method("csgm-vae")().bind("mnist", "gaussian", 0.1), restarts=3, steps=5)
    evaluated = method.recover(given, torch.Generator()).diagnostics["generator_evaluations"][0].item()
    assert count(method, given, 0) == Evaluations(False, 0, evaluated + 3 * 5), "and a gradient for each step"


def test_the_command_counts_what_is_not_known(csbench, tmp_path):
    call = ("count", "quick", "--methods", "tv,lasso-dct", "--m", "25,75", "--images", "2")
    done = csbench(*call)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 levels counted" in done.stdout
    assert "takes the matrix" in done.stdout
    assert "0 of 4 levels counted, 4 were known" in csbench(*call).stdout
    more = csbench(*call[:3], "tv", "--m", "25,75,200", "--images", "2")
    assert "1 of 3 levels counted, 2 were known" in more.stdout
    found = EVALUATIONS.read(tmp_path / "results", suite="quick")
    assert [row["method"] for row in found] == ["lasso-dct"] * 2 + ["tv"] * 3
    assert [row["once"] for row in found][2:] == [50, 150, 400], "A and its adjoint, each of the identity"
    refused = csbench("count", "quick", "--m", "26")
    assert refused.returncode == 2
    assert "not 26" in refused.stderr


def test_a_method_that_fails_is_named_and_the_others_are_kept(csbench, tmp_path, install_plugin):
    install_plugin("broken", BROKEN)
    done = csbench("count", "quick", "--methods", "zeros,breaks", "--m", "25", "--images", "2")
    assert done.returncode == 1
    assert "breaks failed at m = 25 draw 0" in done.stderr
    assert "ValueError: no" in done.stderr
    assert "Traceback" not in done.stderr
    assert [row["method"] for row in EVALUATIONS.read(tmp_path / "results", suite="quick")] == ["zeros"]


def test_counts_of_other_code_are_not_shown(tmp_path):
    suite = Suite("toy", 1, "A toy", "mnist", "gaussian", (10, 100), (0.1,), images=4, draws=1, reference_m=100)
    rows = pd.DataFrame(
        [
            {"method": "tv", "m": m, "noise_norm": 0.1, "draw": 0, "image": i, "status": "ok", "mse": 1.0,
             "cell_cpu_seconds": 1.0, "batch_size": 4, "made_by": "now", "params": "{}", "y_sha256": f"{m}-{i}"}
            for m in suite.m for i in range(4)
        ]
    )  # fmt: skip

    def shown(*fingerprints: str) -> str:
        for m, made_by, once, own in zip(suite.m, fingerprints, (20, 200), (3, 5.4), strict=True):
            place = {"method": "tv", "m": m, "noise_norm": 0.1, "images": 5, "made_by": made_by}
            EVALUATIONS.put(tmp_path, [place | asdict(Evaluations(False, once, own))], suite="toy")
        table = standings(rows, suite, EVALUATIONS.read(tmp_path, suite="toy"), Lineage((proof("before", "now"),)))
        return tables.markdown_cell(columns.applications(suite).cell(table.rows[0]))

    assert shown("then", "then") == "-"
    assert shown("before", "before") == "3 to 5 (+ 20 to 200)"
    assert shown("now", "then") == "3 (+ 20; 1 of 2 levels)"
    assert shown("now", "now") == "3 to 5 (+ 20 to 200)"
    assert "A / image" in render_suite(standings(rows, suite, EVALUATIONS.read(tmp_path, suite="toy")))
    assert "A / image" not in render_suite(standings(rows, suite))


DECOMPOSED = 7500  # from this m on, what decomposes A A^T takes minutes, and twice that to be counted


@pytest.mark.parametrize("name", published_suites())
def test_what_is_published_is_counted_for_the_code_that_made_it(name):
    suite = load_suite(name)
    table = board(suite, ROOT / "results")
    assert table is not None
    for row in table.rows:
        applies = {level for level in suite.levels if level in row.errors}
        if row.method.startswith(("tv", "pnp-admm")):
            applies = {level for level in applies if level < DECOMPOSED}
        assert applies <= row.operator_evaluations.keys(), f"{row.method}: `csbench count {name}` is to be run"
