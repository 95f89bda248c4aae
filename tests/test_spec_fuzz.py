"""Whatever stands in the files, loading gives specs or a SpecError whose lines exist, and nothing else."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.errors import Problem, SpecError
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from tests.spec_project import FILES, write_specs

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
PATHS = st.sampled_from(sorted(FILES))
KEYS = sorted({key for text in FILES.values() for key in yaml.safe_load(text)} | {"include", "exclude", "env", "event_time", "name", ""})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["all", "5m", "csv", "s3://b", "a/b", "x = 1"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def _refused(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    return caught.value.problems


def _survives(path: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as project:
        folder = write_specs(Path(project), {path: data})
        specs, problems = load_specs_tolerantly(folder)
        assert (load_specs(folder) == specs) if not problems else set(_refused(folder)) <= set(problems)
        lines = max(len(data.splitlines()), 1)
        for problem in problems:
            assert 1 <= problem.line <= (lines + 1 if problem.file.endswith(path) else 100)
            assert "\n" not in str(problem)
            assert problem.message
            assert problem.advice


@SETTINGS
@given(PATHS, st.binary(max_size=80))
def test_any_bytes(path: str, data: bytes) -> None:
    _survives(path, data)


@SETTINGS
@given(PATHS, st.text(alphabet="abc:- \n\t{}[]'\"&*!|>#%@,?~0123\\", max_size=120))
def test_anything_that_looks_like_yaml(path: str, text: str) -> None:
    _survives(path, text.encode())


@SETTINGS
@given(PATHS, st.data())
def test_valid_specs_with_characters_changed(path: str, data: st.DataObject) -> None:
    text = FILES[path]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    _survives(path, text.encode("utf-8", "surrogatepass"))


@SETTINGS
@given(PATHS, st.data())
def test_valid_specs_with_values_changed(path: str, data: st.DataObject) -> None:
    values = yaml.safe_load(FILES[path])
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(values)) | st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
    _survives(path, yaml.safe_dump({**values, **changes}, allow_unicode=True).encode())
