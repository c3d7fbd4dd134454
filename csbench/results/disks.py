"""Whether a folder is on a disk of this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
LOCAL = {
    "bcachefs", "btrfs", "ecryptfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs", "ntfs3", "overlay",
    "ramfs", "reiserfs", "rootfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs",
}  # fmt: skip


def is_local(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether all who write to a folder do so through one kernel, and so may share memory.

    What is not known to be such a file system is taken to be none: network and cluster file systems, those that a
    virtual machine shares with its host, and those of programs (FUSE). Other systems than Linux are taken at their word
    by SQLite, which asks them.
    """
    if not sys.platform.startswith("linux"):
        return True
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place = os.path.realpath(folder)
    kinds = {}
    for line in lines:  # later mounts hide earlier ones at the same point
        before, _, after = line.partition(" - ")
        kinds[re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split()[4])] = after.split()[0]
    above = [point for point in kinds if os.path.commonpath([point, place]) == point]
    return bool(above) and kinds[max(above, key=len)] in LOCAL
