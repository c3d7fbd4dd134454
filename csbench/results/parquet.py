"""The bytes of a results file: Parquet, with what is known of its runs and a checksum of the whole file.

The checksum is the sha256 of the file with zeros in the place of the checksum. It is looked at before anything is
parsed, so no changed byte gets further. Files of before there were checksums have none, and are read without.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from csbench.core.errors import ResultsError
from csbench.core.names import fault_of, shown
from csbench.results.schema import SCHEMA_VERSION

VERSION, PROVENANCE, CHECKSUM = (f"csbench_{name}" for name in ("schema_version", "provenance", "sha256"))
ZEROS = b"0" * 64
PLACE = CHECKSUM.encode() + b"\x18\x40"  # how Thrift writes, in a list of texts, this one before one of 64 letters
MAGIC = b"PAR1"
LARGEST = 2**32  # bytes that a file may have when it is unpacked
DAMAGE = (OSError, pa.ArrowException, ValueError, LookupError, TypeError, MemoryError, RecursionError)  # of a parser


@dataclass(frozen=True)
class Content:
    """What is in a file.

    Attributes:
        runs: run id to what is known of that run.
    """

    file: pq.ParquetFile
    runs: dict[str, dict[str, Any]]


def encode(table: pa.Table, runs: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The bytes of a file; the same for the same table and runs."""
    metadata = {
        VERSION: str(SCHEMA_VERSION),
        PROVENANCE: json.dumps(runs, sort_keys=True),
        CHECKSUM: ZEROS.decode(),
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd", write_page_checksum=True)
    data = buffer.getvalue()
    place = data.rindex(PLACE) + len(PLACE)
    return data[:place] + hashlib.sha256(data).hexdigest().encode() + data[place + len(ZEROS) :]


def open_file(path: Path) -> Content:
    """A results file, with nothing of its rows read.

    Raises:
        ResultsError: not Parquet or truncated, changed since it was written, without csbench's metadata or of another
            version of the schema; the message names the file and the reason.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from error
    if not _is_whole(data):
        raise ResultsError(f"{path}: not a whole Parquet file; restore or delete it")
    if not _is_sealed(data):
        raise ResultsError(f"{path}: its checksum is that of another content; restore or delete it")
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        metadata = {key.decode(): text.decode() for key, text in (file.schema_arrow.metadata or {}).items()}
        unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    except DAMAGE as error:
        raise unreadable(path, error) from error
    if file.metadata.num_rows > len(data) or unpacked > LARGEST:  # a row has a hash of y, and so some bytes
        raise ResultsError(f"{path}: {file.metadata.num_rows} rows in {len(data)} bytes are none that csbench wrote")
    _check_version(path, metadata)
    if unknown := metadata.keys() - {VERSION, PROVENANCE} - ({CHECKSUM} if PLACE in data else set()):
        raise ResultsError(f"{path}: unknown metadata {shown(min(unknown))}; restore or delete it")
    return Content(file, _runs(path, metadata.get(PROVENANCE, "{}")))


def unreadable(path: Path, error: BaseException) -> ResultsError:
    """What is to be raised where a parser fails."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ResultsError(f"{path}: not a whole Parquet file ({first}); restore or delete it")


def _is_whole(data: bytes) -> bool:
    return len(data) > 2 * len(MAGIC) and data.startswith(MAGIC) and data.endswith(MAGIC)


def _is_sealed(data: bytes) -> bool:
    """Whether the checksum is that of the file; true also where there is none."""
    place = data.rfind(PLACE)  # metadata stands at the end, behind all that rows may hold
    if place < 0:
        return True
    start, end = place + len(PLACE), place + len(PLACE) + len(ZEROS)
    return hashlib.sha256(data[:start] + ZEROS + data[end:]).hexdigest().encode() == data[start:end]


def _check_version(path: Path, metadata: Mapping[str, str]) -> None:
    version = metadata.get(VERSION, "")
    if not re.fullmatch("[0-9]{1,9}", version):
        raise ResultsError(f"{path}: no schema version in its metadata; it was not written by csbench")
    if int(version) > SCHEMA_VERSION:
        raise ResultsError(f"{path}: schema version {version} is newer than {SCHEMA_VERSION}; upgrade csbench")
    if int(version) < SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: schema version {version} is older than {SCHEMA_VERSION}; move it away and run its suite again"
        )


def _runs(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """What is known of the runs: an object of objects, whose `made_of` is one too."""
    runs = json_object(text)
    if runs is None or not all(isinstance(facts, dict) for facts in runs.values()):
        raise ResultsError(f"{path}: its provenance is no object of runs; restore or delete it")
    for run, facts in runs.items():
        parts = facts.get("made_of", {})
        whole = isinstance(parts, dict) and all(isinstance(one, dict) for one in parts.values())
        commits = [commit for name in ("commit", "hashed_at") if (commit := facts.get(name)) is not None]
        whole = whole and all(isinstance(commit, str) and commit.isalnum() for commit in commits)  # no option of Git
        if fault_of(run) or not whole:
            raise ResultsError(f"{path}: the provenance of run {shown(run)} is damaged; restore or delete the file")
    return runs


def json_object(text: object) -> dict[str, Any] | None:
    """The object that a text of JSON holds; None where it holds none."""
    try:
        found = json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
