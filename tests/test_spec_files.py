"""Which files are specs, and what does the user hear about a file that cannot be read?"""

from pathlib import Path

import pytest

from flow_assets.errors import SpecError
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from tests.spec_project import FLOW, write_specs

UNREADABLE: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 1, "the file is empty"),
    ("only a comment", b"# nothing\n", 1, "the file is empty"),
    ("null", b"null\n", 1, "holds nothing, not keys and values"),
    ("a bare document mark", b"---\n", 2, "holds nothing, not keys and values"),
    ("a list", b"# c\n- a\n- b\n", 2, "holds a list, not keys and values"),
    ("a single value", b"every:15m\n", 1, "holds a single value"),
    ("a tab", b"format:\n\ttype: csv\n", 2, "a tab indents this line"),
    ("two colons", b"a: 1\nwhere: x: y\n", 2, "a `:` stands where none is expected"),
    ("bad indentation", b"a: 1\n  b: 2\n", 2, "a `:` stands where none is expected"),
    ("an open quote", b"a: 1\nb: 'x\nc: 1\n", 2, "a quotation mark is not closed"),
    ("an open bracket", b"a: 1\nb: [x\nc: 1\n", 2, "a bracket that opens here is not closed"),
    ("an open brace", b"a: 1\nb: {x: 1\n", 2, "a bracket that opens here is not closed"),
    ("a quote in quotes", b"a: 1\nb: 'it's'\n", 2, "not YAML from here on"),
    ("a reserved character", b"a: 1\nb: @x\n", 2, "keeps for itself"),
    ("an unknown escape", b'a: 1\nb: "\\q"\n', 2, "begins no known escape"),
    ("half a character", b'a: 1\nb: "\\ud800"\n', 2, "begins no known escape"),
    ("two documents", b"a: 1\n---\nb: 2\n", 2, "a second document begins here"),
    ("text after the end", b"a: 1\n...\nb\n", 3, "not YAML from here on"),
    ("bad UTF-8", b"a: 1\nb: \xff\n", 2, "this line is not UTF-8"),
    ("UTF-16", "a: 1".encode("utf-16"), 1, "this line is not UTF-8"),
    ("a null byte", b"a: 1\nb: \x00\n", 2, "holds a control character"),
    ("a bell", b"a: 1\n\nb: \x07\n", 3, "holds a control character"),
    ("a template", b"a: 1\nb: {{ x }}\n", 2, "a key is not text"),
    ("a list as a key", b"a: 1\n? [b]\n: 2\n", 2, "a key is not text"),
    ("deep brackets", b"a: " + b"[" * 50_000, 1, "nested too deeply"),
    ("deep dashes", b"a:\n  " + b"- " * 50_000 + b"x", 2, "nested too deeply"),
    ("a huge file", b"a: " + b"x" * (1 << 20), 1, "larger than 1 MiB"),
    ("another YAML", b"%YAML 3.0\n---\na: 1\n", 1, "not YAML from here on"),
]
REFUSED: list[tuple[str, bytes, int, str, str]] = [
    ("a key twice", b"every: 15m\nevery: 30m\n", 2, "every", "is given twice, first in line 1"),
    ("a key twice below", b"format:\n  type: csv\n  type: csv\n", 3, "format.type", "is given twice, first in line 2"),
    ("an alias", b"folder: &f x\nsource: *f\n", 2, "source", "anchors and aliases"),
    ("an anchor", b"folder: &f x\n", 1, "folder", "anchors and aliases"),
    ("a Python object", b"folder: !!python/object/apply:os.getcwd []\n", 1, "folder", "tags (`!`) are not used"),
    ("a tag", b"folder: !secret x\n", 1, "folder", "tags (`!`) are not used"),
    ("a merge", b"<<: {folder: x}\n", 1, "<<", "is not a known key"),
]


def _problems(folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("data", "line", "piece"), [pytest.param(*row[1:], id=row[0]) for row in UNREADABLE])
def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path, data: bytes, line: int, piece: str) -> None:
    folder = write_specs(tmp_path, {"flows/bad.yaml": data})
    (problem,) = _problems(folder)
    assert problem.startswith(f"{folder}/flows/bad.yaml:{line}: ")
    assert piece in problem
    assert set(load_specs_tolerantly(folder)[0].flows) == {"shop_feed"}


@pytest.mark.parametrize(("data", "line", "key", "piece"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_yaml_that_surprises_is_refused_at_its_key(tmp_path: Path, data: bytes, line: int, key: str, piece: str) -> None:
    folder = write_specs(tmp_path, {"flows/bad.yaml": data})
    found = [problem for problem in _problems(folder) if problem.startswith(f"{folder}/flows/bad.yaml:{line}: {key}: ")]
    assert len(found) == 1
    assert piece in found[0]


def test_words_and_numbers_stand_for_themselves(tmp_path: Path) -> None:
    text = FLOW.replace("include: [event_id, page_url]", "include: [no, on, 'null', 0x1f, 12:30, 1_000, 2026-01-01]").replace(
        '"abc"', "0123"
    )
    flow = load_specs(write_specs(tmp_path, {"flows/shop_feed.yaml": text})).flows["shop_feed"]
    assert flow.properties.include == ("no", "on", "null", "0x1f", "12:30", "1_000", "2026-01-01")  # type: ignore[union-attr]
    assert flow.sites == (123, "0123")


@pytest.mark.parametrize("text", ["\ufeff" + FLOW, FLOW.replace("\n", "\r\n"), "---\n" + FLOW + "...\n", FLOW.rstrip()])
def test_editors_may_write_files_their_way(tmp_path: Path, text: str) -> None:
    assert load_specs(write_specs(tmp_path, {"flows/shop_feed.yaml": text})).flows["shop_feed"].every == "15m"


@pytest.mark.parametrize("name", ["Shop", "1shop", "shop-feed", "shop feed", "shöp", "s" * 101, "_shop", "shop.v2"])
def test_a_file_whose_name_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_specs(tmp_path, {f"flows/{name}.yaml": FLOW})
    (problem,) = _problems(folder)
    assert "the file's name is not a spec's name — rename the file" in problem
    assert set(load_specs_tolerantly(folder)[0].flows) == {"shop_feed"}


@pytest.mark.parametrize(
    ("path", "piece"),
    [
        ("flows/other.yml", "specs end in .yaml — rename the file to other.yaml"),
        ("flows/other.YAML", "specs end in .yaml — rename the file to other.yaml"),
        ("other.yaml", "a spec lies directly in the folder of specs"),
        ("flow/other.yaml", "specs are not looked for in this folder — did you mean `flows`?"),
        ("flows/team/other.yaml", "specs are not looked for in folders below — move them up into `flows/`"),
    ],
)
def test_a_spec_in_the_wrong_place_is_told_not_ignored(tmp_path: Path, path: str, piece: str) -> None:
    (problem,) = _problems(write_specs(tmp_path, {path: FLOW}))
    assert piece in problem


def test_files_that_are_no_specs_are_left_alone(tmp_path: Path) -> None:
    others = ("README.md", "flows/README.md", "flows/.shop_feed.yaml.swp", "flows/.hidden.yaml", "flows/shop_feed.yaml~", "notes/x.txt")
    assert set(load_specs(write_specs(tmp_path, dict.fromkeys(others, "not: [yaml"))).flows) == {"shop_feed"}


def test_a_folder_or_a_dead_link_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    folder = write_specs(tmp_path)
    (folder / "flows/a.yaml").mkdir()
    (folder / "flows/b.yaml").symlink_to(tmp_path / "nowhere")
    assert [problem.partition(": ")[2] for problem in _problems(folder)] == [
        "this is not a file — remove it, or write a spec in its place"
    ] * 2


@pytest.mark.parametrize(
    ("make", "piece"), [("nothing", "there is no such folder"), ("a file", "cannot be read"), ("a folder", "holds no specs")]
)
def test_a_folder_without_specs_is_an_error(tmp_path: Path, make: str, piece: str) -> None:
    folder = tmp_path / "flow_specs"
    if make == "a file":
        folder.write_text("x")
    elif make == "a folder":
        (folder / "flows").mkdir(parents=True)
    (problem,) = _problems(folder)
    assert problem.startswith(f"{folder}:1: ")
    assert piece in problem
    specs, problems = load_specs_tolerantly(folder)
    assert (dict(specs.flows), len(problems)) == ({}, 1)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied")

    folder = write_specs(tmp_path)
    monkeypatch.setattr(Path, "open", denied)
    assert all("the file cannot be read (Permission denied)" in problem for problem in _problems(folder) if "flows" in problem)
