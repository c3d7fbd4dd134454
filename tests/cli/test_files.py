"""Files and folders that are not what they should be: one line, the right exit code, nothing lost."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from csbench import load_results
from csbench.results.folder import results_file
from csbench.results.journal import Journal
from tests.conftest import ROOT

pytestmark = pytest.mark.faults

PUBLISHED = ROOT / "results"
SUITE = "mnist-noise"
COMMANDS = {
    "run": ["run", "quick", "--methods", "zeros", "--results", "DIR"],
    "status": ["status", "quick", "--results", "DIR"],
    "leaderboard": ["leaderboard", SUITE, "--results", "DIR", "-o", "board.md"],
    "site": ["site", SUITE, "--results", "DIR"],
    "plot": ["plot", SUITE, "--results", "DIR", "-o", "x.png"],
    "compare": ["compare", SUITE, "--results", "DIR"],
    "saving": ["saving", SUITE, "--results", "DIR"],
    "phase": ["phase", "sparse-phase", "--results", "DIR"],
    "cite": ["cite", SUITE, "--results", "DIR"],
    "rescore": ["rescore", SUITE, "--results", "DIR"],
    "count": ["count", "quick", "--methods", "zeros", "--results", "DIR"],
    "gallery": ["gallery", "quick", "--methods", "zeros", "--results", "DIR"],
    "merge": ["merge", "DIR", "DIR", "-o", "other"],
    "prove": ["prove", "quick", "--results", "DIR"],
}


def one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode in (1, 2), done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("csbench: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def is_a_file(path):
    path.write_text("not a folder")


def is_a_link_to_nothing(path):
    path.symlink_to("nowhere")


def is_a_loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_results_folder_that_is_none_is_refused_at_once(csbench, tmp_path, command):
    for make in (is_a_file, is_a_link_to_nothing, is_a_loop):
        place = tmp_path / make.__name__
        make(place)
        done = csbench(*(str(place) if word == "DIR" else word for word in COMMANDS[command]))
        one_line(done, str(place))


@pytest.fixture
def copied(tmp_path):
    """A folder with published results of one suite."""
    folder = tmp_path / "results"
    shutil.copytree(PUBLISHED / f"suite={SUITE}", folder / f"suite={SUITE}")
    return folder


READ = ("leaderboard", "site", "plot", "compare", "saving", "cite", "rescore", "merge")


@pytest.mark.parametrize("command", READ)
def test_a_damaged_file_is_named_by_every_command_that_reads_it(csbench, copied, command):
    path = results_file(copied, SUITE, "zeros")
    path.write_bytes(path.read_bytes()[:-1])
    done = csbench(*("results" if word == "DIR" else word for word in COMMANDS[command]))
    one_line(done, path.name, "not a whole Parquet file")


def test_a_damaged_file_is_named_by_those_that_are_told_it(csbench, copied):
    path = results_file(copied, SUITE, "zeros")
    path.write_bytes(path.read_bytes()[:-1])
    for command in ("show", "verify"):
        one_line(csbench(command, path), path.name, "not a whole Parquet file")


def test_leftovers_of_editors_and_systems_change_nothing(csbench, copied):
    def board() -> str:
        done = csbench("compare", SUITE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    before, folder = board(), copied / f"suite={SUITE}"
    for name in ("._method=zeros.parquet", ".DS_Store", "method=zeros.parquet~", "#method=zeros.parquet#"):
        (folder / name).write_bytes(b"\0\5\26\7")
    (folder / ".#method=zeros.parquet").symlink_to("me@machine.1")
    (copied / "._suite=x").write_bytes(b"\0")
    assert board() == before
    done = csbench("merge", "results", "results", "-o", "results")
    assert done.returncode == 0, done.stderr
    assert csbench("status", SUITE, "--methods", "zeros").returncode == 0


def test_names_on_disk_that_are_none_are_refused(csbench, copied):
    good = results_file(copied, SUITE, "zeros")
    for name in ("method=a|b.parquet", "method=<img src=x>.parquet", "method=Zeros.parquet", "method=a b.parquet"):
        path = good.with_name(name)
        shutil.copy(good, path)
        one_line(csbench("leaderboard", SUITE, "-o", "board.md"))
        path.unlink()
    strange = os.fsencode(good.parent) + b"/method=\xff.parquet"
    shutil.copy(good, strange)
    one_line(csbench("leaderboard", SUITE, "-o", "board.md"), "must not contain")
    os.unlink(strange)
    assert csbench("cite", SUITE).returncode == 0


def test_results_may_lie_where_the_name_is_no_utf8(csbench, tmp_path, tiny_suite):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff-results")
    done = csbench("run", tiny_suite, "--methods", "zeros", "--results", folder)
    assert done.returncode == 0, done.stderr
    assert csbench("show", results_file(type(tmp_path)(folder), "tiny", "zeros")).returncode == 0


def test_an_output_that_cannot_be_written_is_named(csbench, copied, tmp_path):
    (tmp_path / "file").touch()
    for command in ("leaderboard", "plot", "site"):
        words = [
            "results" if word == "DIR" else word
            for word in COMMANDS[command]
            if word not in ("-o", "x.png", "board.md")
        ]
        one_line(csbench(*words, "-o", "file/x.png"), "file")
    one_line(csbench("leaderboard", SUITE, "-o", "/dev/full"), "/dev/full", "No space left")
    assert not os.path.isfile("/dev/full")


def test_a_screen_that_takes_nothing_more_is_said(environment, tmp_path):
    command = [sys.executable, "-m", "csbench", "list", "suites"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "csbench: [Errno 28] No space left on device\n"


def test_what_was_computed_is_kept_where_the_results_cannot_be_written(csbench, tmp_path, tiny_suite):
    place = tmp_path / "results" / "suite=tiny"
    place.parent.mkdir()
    place.write_text("in the way")
    done = csbench("run", tiny_suite, "--methods", "zeros")
    one_line(done, str(place.relative_to(tmp_path)))
    place.unlink()
    with Journal(tmp_path / "results") as journal:
        kept = len(journal.finished())
    done = csbench("run", tiny_suite, "--methods", "zeros")
    assert done.returncode == 0, done.stderr
    assert len(load_results("tiny", tmp_path / "results")) == 6
    assert kept in (0, 2)


BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # root as any owner


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which(BOUND[0]) is None, reason="no permission stops root")
def test_folders_that_may_not_be_read_or_written_are_named(environment, copied):
    def bound(*words: str) -> subprocess.CompletedProcess:
        command = [*(BOUND if os.geteuid() == 0 else []), sys.executable, "-m", "csbench", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    try:
        for mode, words in (
            (0o000, ["cite", SUITE]),
            (0o555, ["run", "quick", "--methods", "zeros"]),
        ):
            copied.chmod(mode)
            one_line(bound(*words, "--results", str(copied)), str(copied))
    finally:
        copied.chmod(0o755)


def test_provenance_cannot_command_the_terminal(csbench, copied):
    from csbench.results.store import read_file, read_provenance, write_file

    path = results_file(copied, SUITE, "zeros")
    runs = {run: facts | {"cpu": "\x1b[2J\u202e\nfake: line"} for run, facts in read_provenance(path).items()}
    write_file(path, read_file(path), runs)
    done = csbench("show", path)
    assert done.returncode == 0
    assert r"cpu: \x1b[2J\u202e\nfake: line" in done.stdout
    assert json.loads(csbench("show", path, "--json").stdout)["rows"]
