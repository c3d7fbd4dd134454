"""Progress where there is no terminal, as in a log."""

from csbench.cli import progress


def test_plain_lines_and_not_too_many(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress_bar("{task.fields[note]}") as bar:
        task = bar.add_task("cells", total=100, note="")
        for done in range(100):
            now[0] += 1.0
            bar.update(task, completed=done + 1, note=f"lasso-dct m={done}")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 3
    assert lines[0].startswith("cells: 30 of 100")
    assert lines[0].endswith("lasso-dct m=29")


def test_short_work_says_nothing(capsys):
    with progress.progress_bar() as bar:
        bar.update(bar.add_task("cells", total=1), advance=1)
    assert capsys.readouterr().err == ""
