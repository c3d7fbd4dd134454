"""Rows as the bytes of a JSON, CSV, Parquet or Feather file, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a file of JSON needs no import of these
    import pyarrow as pa


class Form(Protocol):
    """What a file has to be told: the part of `csbench.results.artefacts.Kind` that is needed here."""

    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def identity(self) -> tuple[str, ...]: ...
    @property
    def shared(self) -> tuple[str, ...]: ...
    @property
    def may_lack(self) -> tuple[str, ...]: ...


def read(path: Path, form: Form) -> list[dict[str, Any]]:
    """The rows of a file; its suffix says how it is written.

    Raises:
        OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError: it is damaged or has other
            columns.
    """
    if path.suffix == ".json":  # an object whose names are the one column of the identity
        (key,) = form.identity
        rows = [{**entry, key: name} for name, entry in json.loads(path.read_bytes()).items()]
        return [{name: row[name] for name in form.columns} for row in rows]
    return _stored_table(path, form).to_pandas().to_dict("records")


def fault_of_value(value: Any, of: str, range_: tuple[float, float] | None) -> str | None:
    """What is wrong with a value of a column; None where nothing is.

    Args:
        of: the type, as the form tells.
        range_: the least and the greatest number; NaN and None say that there is none.
    """
    kind = {"string": str, "list": list, "object": dict}.get(of)
    if kind is not None and not isinstance(value, kind):
        return f"is {value!r}, it must be of type {kind.__name__}"
    if range_ and value is not None and (value < range_[0] or value > range_[1]):
        return f"is {value}, it must be from {range_[0]:g} to {range_[1]:g}"
    return None


def encode(suffix: str, form: Form, rows: list[dict[str, Any]]) -> bytes:
    """The bytes of a file; the same for the same rows."""
    if suffix == ".json":
        (key,) = form.identity
        entries = {row[key]: {name: row[name] for name in form.columns if name != key} for row in rows}
        return json.dumps(entries).encode()
    if suffix == ".csv":  # one line for each row, so that Git merges what two people add
        return table(form, rows).to_pandas().to_csv(index=False, lineterminator="\n").encode()
    import pyarrow as pa
    from pyarrow import feather, parquet

    found, sink = table(form, rows), pa.BufferOutputStream()
    if form.shared:
        facts = {name: found[name][0].as_py() for name in form.shared}
        found = found.drop_columns(list(form.shared)).replace_schema_metadata(facts)
    if suffix == ".feather":
        feather.write_feather(found, sink, compression="lz4")
    else:
        parquet.write_table(found, sink, compression="zstd", compression_level=19)
    return sink.getvalue().to_pybytes()


def table(form: Form, rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as a table with the columns of a form; NaN becomes null."""
    import pandas as pd
    import pyarrow as pa

    rows = list(rows)
    fields = [(name, _type(of, rows[0][name] if rows else ())) for name, of in form.columns.items()]
    frame = pd.DataFrame(rows, columns=list(form.columns))
    return pa.Table.from_pandas(frame, pa.schema(fields), preserve_index=False).replace_schema_metadata(None)


def _type(of: str, first: Any) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(pa.float32(), len(first)) if of == "vector" else pa.type_for_alias(of)


def _stored_table(path: Path, form: Form) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv, feather, parquet

    if path.suffix == ".csv":
        types = {name: _type(of, ()) for name, of in form.columns.items()}
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)))
    found = feather.read_table(path) if path.suffix == ".feather" else parquet.ParquetFile(path).read()
    facts = found.schema.metadata or {}
    for name in form.shared:
        fact = facts.get(name.encode(), b"") if name in form.may_lack else facts[name.encode()]
        found = found.append_column(name, pa.array([fact.decode()] * len(found), pa.string()))
    found = found.select(list(form.columns)).replace_schema_metadata(None)
    types = [found.schema.field(name).type if of == "vector" else _type(of, ()) for name, of in form.columns.items()]
    return found.cast(pa.schema(list(zip(form.columns, types, strict=True))))
