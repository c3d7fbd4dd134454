"""Limits of containers, in both versions of control groups."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from csbench.runner import cgroups
from csbench.runner.limits import Limits, cores, memory
from tests.processes import linux

V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = (
    "31 23 0:27 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 23 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def system(root: Path, mounts: str, own: str, files: dict[str, str]) -> Path:
    for name, text in ({"proc/self/mountinfo": mounts, "proc/self/cgroup": own} | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_version_2_nested_and_max(tmp_path):
    files = {
        "sys/fs/cgroup/a/memory.max": "4294967296\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n",
    }
    root = system(tmp_path, V2, "0::/a/b\n", files)
    assert cgroups.memory(root) == 2**32
    assert cgroups.cores(root) == 1.5


def test_version_2_in_a_namespace_of_its_own(tmp_path):
    files = {"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}
    root = system(tmp_path, V2, "0::/\n", files)
    assert (cgroups.memory(root), cgroups.cores(root)) == (2**30, 0.5)
    outside = system(tmp_path / "outside", V2, "0::/../../other\n", files)
    assert (cgroups.memory(outside), cgroups.cores(outside)) == (2**30, 0.5)


@pytest.mark.parametrize("shown", ["/", "/docker/abc"])
def test_version_1(tmp_path, shown):
    inside = "docker/abc/" if shown == "/" else ""
    files = {
        f"sys/fs/cgroup/memory/{inside}memory.limit_in_bytes": "2147483648\n",
        f"sys/fs/cgroup/cpu,cpuacct/{inside}cpu.cfs_quota_us": "300000\n",
        f"sys/fs/cgroup/cpu,cpuacct/{inside}cpu.cfs_period_us": "100000\n",
    }
    own = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"
    root = system(tmp_path, V1.format(root=shown), own, files)
    assert (cgroups.memory(root), cgroups.cores(root)) == (2**31, 3.0)


def test_no_limit_is_none(tmp_path):
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    root = system(tmp_path, V1.format(root="/"), "5:cpu,cpuacct:/\n4:memory:/\n", files)
    assert (cgroups.memory(root), cgroups.cores(root)) == (None, None)
    assert (cgroups.memory(tmp_path / "nothing"), cgroups.cores(tmp_path / "nothing")) == (None, None)
    assert cgroups.memory(system(tmp_path / "odd", "nonsense\n", "nonsense\n", {})) is None


def test_the_least_counts(monkeypatch):
    monkeypatch.setattr(cgroups, "memory", lambda: 6 * 2**30)
    monkeypatch.setattr(cgroups, "cores", lambda: 0.5)
    assert memory() == 6 * 2**30
    assert cores() == 1
    assert Limits().memory(1) == 3 * 2**30
    assert Limits(memory_gb=1).memory(7) == 2**30


@linux
def test_a_real_group():
    """In a group of this kernel, where this user may make one."""
    group = Path("/sys/fs/cgroup/memory", f"csbench-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(3 * 2**30))
    except OSError:
        pytest.skip("needs the right to make a control group of version 1")
    try:
        code = (
            f"open('{group}/cgroup.procs', 'w').write('0'); from csbench.runner.limits import memory; print(memory())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(done.stdout) == 3 * 2**30
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
