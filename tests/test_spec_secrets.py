"""A secret in the wrong place is never printed: neither in a message, nor in the text of an exception, nor by a model."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flow_assets.errors import PermanentError
from flow_assets.spec.base import Secret
from flow_assets.spec.load import load_specs_tolerantly
from tests.spec_project import FILES, SFTP, with_line, write_specs

CANARY = "hunter2!"

SECRET_LINES = [
    (path, number, line.partition(":")[0])
    for path, text in FILES.items()
    for number, line in enumerate(text.splitlines(), 1)
    if re.search(r"\{env: ", line)
]
SHAPES = [
    "{key}: hunter2",
    "{key}: 'hunter2'",
    "{key}: {{env: hunter2!}}",
    "{key}: {{env: [hunter2]}}",
    "{key}: {{hunter2}}",
    "{key}: {{value: hunter2}}",
    "{key}: [hunter2]",
    "{key}: {{env: A, also: hunter2}}",
    "{key}: &hunter2",
    "{key}: *hunter2",
    "{key}: !hunter2",
    "{key}: @hunter2",
    "{key}: 'hunter2",
    "{key}: hunter2: x",
    "{key}: [hunter2",
    '{key}: "hunter2\\q"',
    "{key}: {{{{ hunter2 }}}}",
    "{key}: |\n hunter2\n\thunter2",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("path", "number", "key"), SECRET_LINES)
def test_an_inline_secret_is_refused_and_not_echoed(tmp_path: Path, path: str, number: int, key: str, shape: str) -> None:
    folder = write_specs(tmp_path, {path: with_line(FILES[path], number, shape.format(key=key))})
    _, problems = load_specs_tolerantly(folder)
    assert problems
    assert "hunter2" not in "\n".join(map(str, problems))


@pytest.mark.parametrize("shape", SHAPES[:8])
def test_an_inline_secret_is_told_in_its_line_with_what_to_write(tmp_path: Path, shape: str) -> None:
    folder = write_specs(tmp_path, {"destinations/partner_sftp.yaml": with_line(SFTP, 5, shape.format(key="password"))})
    _, problems = load_specs_tolerantly(folder)
    assert str(problems[0]) == (
        f"{folder}/destinations/partner_sftp.yaml:5: password: must name an environment variable; a secret is never written here"
        " — write `{env: NAME}`, and put the secret into that variable"
    )


def _changed(value: Any) -> Iterator[Any]:
    """``value`` with each of its leaves replaced in turn."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from ({**value, key: changed} for changed in _changed(below))
    yield from (CANARY, [CANARY], {"env": CANARY}, {"type": CANARY}, [[CANARY]])


@pytest.mark.parametrize("path", sorted(FILES))
def test_no_message_holds_a_value(tmp_path: Path, path: str) -> None:
    """Wherever a secret was pasted (``where`` aside, whose own words are SQL)."""
    values = yaml.safe_load(FILES[path])
    for number, changed in enumerate(
        changed for changed in _changed(values) if isinstance(changed, dict) and changed.get("where") != CANARY
    ):
        folder = write_specs(tmp_path / str(number), {path: yaml.safe_dump(changed)})
        _, problems = load_specs_tolerantly(folder)
        assert CANARY not in "\n".join(map(str, problems)), changed


def test_a_secret_is_looked_up_only_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARTNER_SFTP_PASSWORD", raising=False)
    specs, problems = load_specs_tolerantly(write_specs(tmp_path))
    assert problems == ()
    password = specs.destinations["partner_sftp"].password  # type: ignore[union-attr]
    with pytest.raises(PermanentError, match="PARTNER_SFTP_PASSWORD is not set"):
        password.reveal()
    monkeypatch.setenv("PARTNER_SFTP_PASSWORD", CANARY)
    assert password.reveal() == CANARY
    assert CANARY not in repr(specs)


def test_a_model_hides_what_it_refuses() -> None:
    with pytest.raises(ValueError) as caught:
        Secret(env=CANARY)
    assert CANARY not in str(caught.value)
