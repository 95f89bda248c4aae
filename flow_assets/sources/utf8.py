"""What if a file's text is not UTF-8? Its bad bytes become U+FFFD, in a copy that the engine can read.

The engine refuses such a file as a whole. Copies are made of the files that need one, with the same rows in the same order; each
invalid sequence of bytes becomes one U+FFFD as the Unicode standard recommends, which is also what Python's decoder does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flow_assets.sources.places import Place

_BATCH_BYTES = 32 * 1024 * 1024
_MOST_ROWS = 65_536


@dataclass(frozen=True)
class Repair:
    """``files`` maps a file's path to that of its copy; ``values`` counts the texts that were changed."""

    files: Mapping[str, str]
    values: int

    @property
    def sentence(self) -> str:
        """What was done, for a log."""
        named = ", ".join(sorted(self.files)[:3]) + (", …" if len(self.files) > 3 else "")
        return f"{self.values} texts that are not UTF-8, in {len(self.files)} files ({named}): their invalid bytes are read as U+FFFD"


def repair_files(place: Place, paths: Sequence[str], folder: Path) -> Repair:
    """Copy those of the files that hold text that is not UTF-8 into ``folder``."""
    copies, values = {}, 0
    for number, path in enumerate(dict.fromkeys(paths)):
        with place.open(path) as stream:
            file = _opened(stream)
            if all(_is_valid(batch) for batch in _batches(file, _text_columns(file))):
                continue
            copy = folder / f"{number}.parquet"
            values += _write_repaired(file, copy)
            copies[path] = str(copy)
    return Repair(copies, values)


def _opened(stream: Any) -> pq.ParquetFile:
    options: dict[str, Any] = {"coerce_int96_timestamp_unit": "us", "arrow_extensions_enabled": True}
    return pq.ParquetFile(stream, **options)


def repaired_array(array: Any) -> tuple[Any, int]:
    """The array with valid text at every depth, and how many texts were changed."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return repaired_array(array.dictionary_decode())
    if _is_text(kind):
        return _repaired_text(array)
    if pa.types.is_struct(kind):
        parts = [repaired_array(array.field(number)) for number in range(kind.num_fields)]
        fields = [kind.field(number).with_type(part.type) for number, (part, _) in enumerate(parts)]
        return pa.StructArray.from_arrays([part for part, _ in parts], fields=fields, mask=array.is_null()), sum(n for _, n in parts)
    if pa.types.is_map(kind):
        keys, changed = repaired_array(array.keys)
        items, more = repaired_array(array.items)
        return pa.MapArray.from_arrays(_offsets(array), keys, items), changed + more
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values, changed = repaired_array(array.values)
        return type(array).from_arrays(_offsets(array), values), changed
    return array, 0


def _repaired_text(array: Any) -> tuple[Any, int]:
    if _is_valid_text(array):
        return array, 0
    changed, texts = 0, []
    for value in array.cast(pa.large_binary()).to_pylist():
        text = None if value is None else value.decode("utf-8", "replace")
        changed += text is not None and text.encode() != value
        texts.append(text)
    return pa.array(texts, array.type), changed


def _offsets(array: Any) -> Any:
    """Where each list begins, null where the list is null, which is how ``from_arrays`` is told so."""
    offsets = array.offsets
    missing = pa.concat_arrays([array.is_null(), pa.array([False])])
    return pc.if_else(missing, pa.scalar(None, offsets.type), offsets)


def _write_repaired(file: pq.ParquetFile, copy: Path) -> int:
    values, writer = 0, None
    try:
        for batch in _batches(file, None):
            parts = [repaired_array(column) for column in batch.columns]
            values += sum(changed for _, changed in parts)
            fields = [field.with_type(part.type) for field, (part, _) in zip(batch.schema, parts, strict=True)]
            table = pa.Table.from_arrays([part for part, _ in parts], schema=pa.schema(fields))
            writer = writer or pq.ParquetWriter(copy, table.schema, compression="snappy")
            writer.write_table(table)
    finally:
        if writer:
            writer.close()
    return values


def _batches(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The file's rows, few at a time where they are large."""
    metadata = file.metadata
    stored = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    rows = max(1, min(_MOST_ROWS, _BATCH_BYTES * metadata.num_rows // max(stored, 1)))
    return file.iter_batches(rows, columns=columns)


def _text_columns(file: pq.ParquetFile) -> list[str]:
    return [field.name for field in file.schema_arrow if _holds_text(field.type)]


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    return _is_text(kind) or any(_holds_text(kind.field(number).type) for number in range(kind.num_fields))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_valid(batch: pa.RecordBatch) -> bool:
    return all(repaired_array(column)[1] == 0 for column in batch.columns)


def _is_valid_text(array: Any) -> bool:
    try:
        array.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True
