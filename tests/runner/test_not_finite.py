"""Images whose y is not finite are given to nobody, and cost the others nothing."""

from dataclasses import dataclass, replace

import torch

from csbench import load_suite
from csbench.runner.limits import NO_LIMITS
from csbench.runner.local import ThisMachine
from csbench.runner.plan import make_cells
from csbench.runner.problem import Problem


@dataclass(frozen=True)
class Spoilt(Problem):
    """y of some images is not finite."""

    spoilt: tuple[int, ...] = ()

    def simulate(self):
        given, truth = super().simulate()
        y = given.y.clone()
        y[list(self.spoilt), 3] = float("inf")
        return replace(given, y=y), truth


def test_one_image_fails_and_the_others_are_those_of_a_batch_without_it():
    suite = replace(load_suite("quick"), m=(10,), images=3, reference_m=10)
    rows = {}
    cells = []
    for spoilt in ((), (1,), (0, 1, 2)):
        for cell in make_cells(suite.narrowed(methods=("min-norm", "zeros"))):
            problem = cell.problem
            cells.append(
                replace(cell, problem=Spoilt(problem.dataset, problem.operator, 10, 0.1, 0, 3, "test", spoilt))
            )
    for one in ThisMachine(1).run(cells, NO_LIMITS, "test"):
        rows[one.cell.method_name, one.cell.problem.spoilt] = one.rows.to_pylist()
    for method in ("min-norm", "zeros"):
        whole, part, none = (rows[method, spoilt] for spoilt in ((), (1,), (0, 1, 2)))
        assert [row["status"] for row in whole] == ["ok"] * 3
        assert [row["status"] for row in part] == ["ok", "failed", "ok"]
        assert [row["batch_size"] for row in part] == [2, 2, 2]
        assert "not finite" in part[1]["reason"]
        assert part[1]["mse"] is None
        assert [row["status"] for row in none] == ["failed"] * 3
        torch.testing.assert_close([part[0]["mse"], part[2]["mse"]], [whole[0]["mse"], whole[2]["mse"]])


def test_what_nobody_is_given_has_rows_also_where_its_turn_comes_beside_a_cell_that_has_ended():
    suite = replace(load_suite("quick"), m=(10,), images=1, reference_m=10)
    zeros, other = (make_cells(suite.narrowed(methods=(name,)))[0] for name in ("zeros", "min-norm"))
    dataset, operator = zeros.problem.dataset, zeros.problem.operator
    bad, *good = (Spoilt(dataset, operator, 10, 0.1, draw, 1, "test", (0,) if draw == 0 else ()) for draw in range(3))
    cells = [replace(zeros, problem=bad), replace(other, problem=bad), *(replace(zeros, problem=one) for one in good)]
    done = [(one.cell.method_name, one.cell.problem.draw) for one in ThisMachine(1).run(cells, NO_LIMITS, "test")]
    assert sorted(done) == [("min-norm", 0), ("zeros", 0), ("zeros", 1), ("zeros", 2)]
