"""Which files count? Those that a delivery report lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_assets.errors import PermanentError
from flow_assets.ledger.report import parse_report, report_text

paths = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5)


@given(paths)
def test_reading_a_report_gives_back_its_paths(listed: list[str]) -> None:
    assert parse_report(report_text(listed)) == tuple(listed)


def test_a_report_has_one_path_a_line() -> None:
    assert report_text(["out/a b.csv", "out/ü.csv"]) == "out/a b.csv\nout/ü.csv\n".encode()


def test_an_empty_interval_has_a_report_of_zero_bytes() -> None:
    assert report_text([]) == b""
    assert parse_report(b"") == ()


@pytest.mark.parametrize("path", ["", "a\nb", "a\rb", "a\n"], ids=repr)
def test_a_path_that_would_break_the_lines_is_refused(path: str) -> None:
    with pytest.raises(PermanentError, match="one path a line"):
        report_text(["fine", path])


@pytest.mark.parametrize("data", [b"out/a.csv", b"out/a.csv\nout/b.c", b"a\n\nb\n", b"a\r\nb\r\n", b"\xff\n"], ids=repr)
def test_what_is_no_whole_report_is_refused(data: bytes) -> None:
    with pytest.raises(PermanentError, match="delivery report"):
        parse_report(data)
