"""Where does the CPU of a large delivery go? Each part alone, over the same rows: what the whole line takes beyond them is the rest.

`python -m benchmarks.parts FILES`: reading the columns, making lines of them, compressing the lines.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.contenders import OURS, we
from benchmarks.contest import Contender, ours
from benchmarks.data import made_table
from benchmarks.harness import race
from benchmarks.sections import Section, Sizes
from benchmarks.tables import raw

_WIDTH = 40
_ALONE = "each part alone"
PARTS = ("read and decode Parquet", "make lines of CSV", "compress (gzip)", "file by event time, hash, write, count, plan")


def measured(sizes: Sizes, place: Path) -> Section:
    """Of the narrow table as CSV."""
    rows = made_table(place / "parts", sizes.rows)
    found = race([we(rows, "csv"), Contender(_ALONE, ours("parts", rows.files))], place, sizes.runs)
    said = found[_ALONE].said
    spent = [said.get("read", 0.0), said.get("lines", 0.0) - said.get("read", 0.0), said.get("gzip", 0.0)]
    whole = found[OURS].said.get("cpu", 0.0)
    spent.append(max(0.0, whole - sum(spent)))
    lines = [
        f"{part:44} {'█' * round(_WIDTH * cpu / sum(spent))} {cpu:.1f} s, {cpu / sum(spent):.0%}"
        for part, cpu in zip(PARTS, spent, strict=True)
    ]
    text = (
        f"{rows.rows:,} rows, {said.get('bytes', 0) / 1e6:,.0f} MB of lines, {sum(spent):.1f} CPU seconds together.\n\n```\n"
        + "\n".join(lines)
        + "\n```"
    )
    return Section("Where the CPU of a large delivery goes", text, [], raw(found.values()))


def main(files: str) -> None:
    """Do each part alone, and print its CPU seconds."""
    import tempfile

    from flow_assets.plan.columns import Column
    from flow_assets.spec.flow import CsvFormat
    from flow_assets.stages.compress import gzip_member
    from flow_assets.stages.engine import open_engine
    from flow_assets.stages.lines import lines
    from flow_assets.stages.text import BLOCK_BYTES

    begun = time.perf_counter()
    spent = {"gzip": 0.0}
    relation = f"read_parquet('{files}', union_by_name => true)"
    with tempfile.TemporaryDirectory() as spool, open_engine(Path(spool), threads=1) as engine:
        mark = time.process_time()
        engine.execute(f"SELECT count(COLUMNS(*)) FROM {relation}").fetchall()
        spent["read"] = time.process_time() - mark
        columns = [Column(name, kind) for name, kind, *_ in engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
        made = lines(CsvFormat(type="csv"), columns)
        fields = ", ".join(f"{expression} AS {name}" for name, expression in made.fields)
        query = f"SELECT {made.line} AS line FROM (SELECT {fields} FROM {relation})"
        mark, size = time.process_time(), 0
        for batch in engine.execute(query).to_arrow_reader(10_000):
            began = time.thread_time()  # the engine's threads go on meanwhile
            _, _, text = batch.column(0).buffers()
            view = memoryview(text or b"")
            for at in range(0, len(view), BLOCK_BYTES):
                gzip_member(view[at : at + BLOCK_BYTES])
            size += len(view)
            spent["gzip"] += time.thread_time() - began
        spent["lines"] = time.process_time() - mark - spent["gzip"]
    print(json.dumps({"seconds": time.perf_counter() - begun, "bytes": size, **spent}))


if __name__ == "__main__":
    main(*sys.argv[1:])
