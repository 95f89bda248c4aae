"""Spark, in one process with a thread for each core. `spark.py FORMAT FILES TARGET [partitioned]`. Starting the session is not timed."""

import json
import os
import shutil
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def main(format_: str, files: str, target: str, how: str) -> None:
    builder = SparkSession.builder.master(f"local[{os.cpu_count()}]").config("spark.driver.memory", "4g")
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    session = builder.config("spark.local.dir", f"{target}/.spark").getOrCreate()
    begun = time.perf_counter()
    rows = session.read.parquet(files.rsplit("/", 1)[0])
    if how == "partitioned":
        moment = f.col("hit_time_utc")
        rows = rows.withColumns({"date": f.to_date(moment), "hour": f.hour(moment), "min": f.floor(f.minute(moment) / 15)})
    writer = rows.write.mode("append")
    if how == "partitioned":
        writer = writer.partitionBy("date", "hour", "min")
    if format_ == "csv":
        writer.option("escape", '"').option("header", True).option("compression", "gzip").csv(f"{target}/out")
    elif format_ == "ndjson":
        writer.option("compression", "gzip").json(f"{target}/out")
    else:
        writer.option("compression", "zstd").parquet(f"{target}/out")
    seconds = time.perf_counter() - begun
    session.stop()
    shutil.rmtree(f"{target}/.spark", ignore_errors=True)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
