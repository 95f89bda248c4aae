"""Where do rows come from? Delta Lake, Parquet folders, DuckDB files."""
