import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from csbench.freshness.states import STATES

COMMANDS = [
    "run", "status", "list", "leaderboard", "plot", "saving", "compare", "phase", "tune", "train", "assess", "project",
    "decompose", "gallery", "cite", "show", "verify", "merge", "rescore", "new-method", "check",
]  # fmt: skip


def test_help_lists_every_command_and_each_has_an_example(typed):
    overview = typed("--help")
    assert overview.returncode == 0
    for command in COMMANDS:
        assert command in overview.stdout
        assert f"Example: csbench {command}" in typed(command, "--help").stdout


LIGHT = [["--help"], ["list"], ["list", "operators"], ["list", "suites", "--json"], ["cite"], ["cite", "csgm-vae"]]


@pytest.mark.parametrize("arguments", LIGHT)
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys; sys.argv = ['csbench', *sys.argv[1:]]\n"
        "from csbench.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'pyarrow', 'numba', 'matplotlib', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize(("arguments", "limit"), [(["--help"], 3), (["list"], 5)])
def test_light_commands_answer_at_once(typed, environment, arguments, limit):
    """CPU time, as a multiple of what importing the command line's library takes; the best of several of each."""

    def seconds(call: Callable[[], subprocess.CompletedProcess]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert call().returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    library = partial(subprocess.run, [sys.executable, "-c", "import typer"], env=environment)
    assert min(seconds(lambda: typed(*arguments)) for _ in range(4)) < limit * min(seconds(library) for _ in range(4))


@pytest.mark.parametrize("what", ["methods", "datasets", "operators", "suites", "priors"])
def test_lists(typed, what):
    rows = json.loads(typed("list", what, "--json").stdout)
    assert rows
    assert all(row["name"] for row in rows)
    table = typed("list", what).stdout
    assert all(row["name"] in table for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quikc"], "unknown suite 'quikc'. Did you mean 'quick'"),
        (["run", "quick", "--methods", "laso-dct"], "Did you mean 'lasso-dct'"),
        (["run", "quick", "--m", "26"], "suite quick has m = 25, 75, 200, 400, not 26"),
        (["run", "quick", "--m", "a"], "--m takes integers separated by commas"),
        (["run", "quick", "--jobs", "0"], "--jobs is 1 to 1024, not 0"),
        (["run", "quick", "--timeout", "-1"], "--timeout is a number of seconds above 0"),
        (["run", "quick", "--timeout", "9,zeros=x"], "alone or as NAME=SECONDS, not 'zeros=x'"),
        (["run", "quick", "--methods", "zeros", "--timeout", "mean=3"], "names 'mean', not among the methods"),
        (["run", "quick", "--memory", "0"], "--memory, in GB, is 0.1 to 100000, not 0.0"),
        (["run", "none.toml"], "none.toml: no such file"),
        (["leaderboard", "mnist-gausian"], "Did you mean 'mnist-gaussian'"),
        (["tune", "quick", "--methods", "lasso-dct-paper"], "is a configuration of lasso-dct"),
        (["train", "vae", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["list", "things"], "cannot list 'things'"),
        (["plot", "quick", "-o", "x.svg"], "no results of quick in results/; run `csbench run quick`"),
        (["saving", "mnist-gaussian", "--at", "80"], "--at is one of m = 10"),
        (["tune", "quick", "--methods", "zeros"], "zeros cannot be tuned"),
        (["run", "quick", "--no-such-option"], "No such option"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_what_to_do(csbench, arguments, message):
    done = csbench(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_reports_in_every_form(typed, csbench, tmp_path, tiny_suite):
    done = typed("run", tiny_suite, "--methods", "zeros,min-norm")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "suite=tiny"
    for name in ("method=zeros.parquet", "method=min-norm.parquet", "leaderboard.md", "error-vs-m.png"):
        assert (folder / name).is_file()
        assert name in done.stdout
    assert "min-norm" in done.stdout
    summary = json.loads(csbench("run", tiny_suite, "--methods", "zeros", "--json").stdout)
    assert summary["states"]["zeros"] == dict.fromkeys(STATES, 0) | {"fresh": 2}
    assert csbench("run", tiny_suite, "--methods", "zeros", "--m", "10", "--fresh").stdout.count("1 cells run") == 1


def test_leaderboard_check(csbench, tmp_path):
    assert csbench("leaderboard").returncode == 0
    assert csbench("leaderboard", "--check").returncode == 0
    page = tmp_path / "leaderboard.md"
    page.write_text(page.read_text().replace("# Leaderboard", "# Leader board"))
    stale = csbench("leaderboard", "--check")
    assert stale.returncode == 1
    assert "-# Leader board" in stale.stdout
    assert "+# Leaderboard" in stale.stdout
    assert "run `csbench leaderboard`" in stale.stderr


def test_damaged_results_stop_the_leaderboard(csbench, tmp_path):
    folder = tmp_path / "results" / "suite=mnist-gaussian"
    folder.mkdir(parents=True)
    (folder / "method=zeros.parquet").write_bytes(b"PAR1 and no more")
    done = csbench("leaderboard")
    assert done.returncode == 1
    assert "method=zeros.parquet: not a whole Parquet file" in done.stderr
