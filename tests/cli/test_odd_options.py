"""Options with values that make no sense: exit code 2 and one line that names the option, before any compute."""

import sys

import pytest

from csbench.cli import main

pytestmark = pytest.mark.faults

RUN = ["run", "quick", "--methods", "zeros"]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Types a command in a folder with a file, a folder and a folder that only reading is allowed in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("something")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()

    def type_it(arguments: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["csbench", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        assert caught.value.code == 2, printed
        assert printed.out == ""
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "folder.png"]
        return printed.err

    return type_it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RUN, "--jobs", "-1"], "--jobs is 1 to 1024, not -1"),
        ([*RUN, "--jobs", "99999999999999999999"], "--jobs is 1 to 1024"),
        ([*RUN, "--memory", "nan"], "--memory, in GB, is 0.1 to 100000, not nan"),
        ([*RUN, "--memory", "inf"], "not inf"),
        ([*RUN, "--memory", "1e-9"], "not 1e-09"),
        ([*RUN, "--timeout", "nan"], "--timeout is a number of seconds above 0, at most 10000000, alone or as"),
        ([*RUN, "--timeout", "inf"], "not 'inf'"),
        ([*RUN, "--timeout", "1e300"], "not '1e300'"),
        ([*RUN, "--timeout", "=3"], "not '=3'"),
        ([*RUN, "--timeout", "1,2"], "--timeout says what all may take twice: '1,2'"),
        ([*RUN, "--timeout", "zeros=1,zeros=2"], "--timeout says zeros twice"),
        ([*RUN, "--timeout", "zeors=1"], "--timeout names 'zeors', not among the methods of this run. Did you mean"),
        ([*RUN, "--timeout", ""], "--timeout names nothing, got ''"),
        ([*RUN, "--m", ","], "--m names nothing, got ','; leave it out to take all"),
        ([*RUN, "--m", "99999999999999999999999"], "suite quick has m = 25, 75, 200, 400, not 99999999999999999999999"),
        ([*RUN, "--m", "nan"], "--m takes integers separated by commas, got 'nan'"),
        ([*RUN, "--draws", "1000000000"], "--draws is 1 to 1, not 1000000000"),
        (["run", "quick", "--methods", ""], "--methods names nothing, got ''"),
        (["run", "quick", "--methods", "../x"], "unknown method '../x'"),
        (["status", "quick", "--methods", " , "], "--methods names nothing"),
        (["tune", "quick", "--methods", "lasso-dtc"], "Did you mean 'lasso-dct'"),
        (["prove", "quick", "--budget", "nan"], "--budget, in minutes, is 0.1 to 1e+06, not nan"),
        (["verify", "x.parquet", "--sample", "nan"], "--sample is 0 to 1, not nan"),
        (["train", "vea"], "unknown prior 'vea'. Did you mean 'vae'?"),
        (["train", "vae", "--device", "gpu"], "--device is cpu or cuda, not 'gpu'"),
        (["train", "vae", "--device", "cuda:99"], "--device is cpu or cuda, not 'cuda:99'"),
        (["train", "vae", "--minutes", "nan"], "--minutes is 0 to 1e+06, not nan"),
        (["train", "vae", "-o", "file"], "where a folder is wanted"),
        (["train", "vae", "--dataset", "mnsit"], "unknown dataset 'mnsit'. Did you mean 'mnist'?"),
        (["samples", "--measurement", "block-pixels:p=0.95", "-o", "folder.png"], "--output is a file to write"),
        (["samples", "--measurement", "block-pixels:p=0.95", "-o", "x.txt"], "--output is a .png file, not 'x.txt'"),
        (["assess", "vae-mnist", "--grid", "folder.png"], "--grid is a file to write, and folder.png is a folder"),
        (["priors", "--curve", "file/x.png"], "where a folder is wanted"),
        (["plot", "quick", "-o", "folder.png"], "--output is a file to write, and folder.png is a folder"),
        (["plot", "quick", "-o", "file/x.png"], "where a folder is wanted"),
        (["gallery", "quick", "-o", "folder.png"], "--output is a file to write"),
        (["phase", "-o", "folder.png"], "--output is a file to write"),
        (["phase", "-o", "x.doc"], "--output is a .svg, .png, .pdf file"),
        (["decompose", "quick", "-o", "folder.png"], "--output is a file to write"),
        (["leaderboard", "-o", "folder"], "--output is a file to write, and folder is a folder"),
        (["site", "-o", "file"], "--output: "),
        (["merge", "folder", "folder", "-o", "file"], "--output: "),
        (["run", "folder.toml"], "folder.toml: no such file"),
        (["run", "x\0.toml"], "cannot be read"),
    ],
    ids=lambda value: " ".join(value[:4]).replace("\0", "0") if isinstance(value, list) else "",
)  # fmt: skip
def test_what_makes_no_sense_is_refused(refused, arguments, message):
    said = refused(arguments)
    assert said.startswith("csbench: ")
    assert said.count("\n") == 1
    assert message in said


def test_a_folder_that_may_not_be_written_into(refused, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root, as tests in containers often run, may everything
    assert "--results: nothing may be written into " in refused([*RUN, "--results", "folder/new"])
    assert "--output: nothing may be written into " in refused(["plot", "quick", "-o", "x.png"])
