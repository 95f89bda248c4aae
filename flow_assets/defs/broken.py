"""What does a broken spec look like in Dagster? A grey asset in the group ``broken_specs`` with a red check, in place of what it would be.

The other flows go on. The check can be run in the UI after the file was corrected; the asset itself comes back when the definitions are
reloaded.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg

from flow_assets.defs.describe import problem_list
from flow_assets.defs.keys import Keys
from flow_assets.errors import Problem
from flow_assets.spec.base import NAME_PATTERN
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.load import load_specs_tolerantly

GROUP: Final = "broken_specs"
CHECK: Final = "spec_is_valid"


@dataclass(frozen=True)
class Broken:
    """The broken specs of a folder, by asset."""

    folder: Path
    problems: Mapping[dg.AssetKey, tuple[Problem, ...]]

    @classmethod
    def of(cls, folder: Path, problems: Iterable[Problem], keys: Keys, flows: Mapping[str, str] | None = None) -> "Broken":
        """Problems by the assets that they take down. ``flows``: those that are written elsewhere, by file."""
        found: dict[dg.AssetKey, tuple[Problem, ...]] = {}
        for problem in sorted(problems):
            flow = (flows or {}).get(problem.file)
            key = keys.deliveries(flow) if flow else _key(Path(problem.file), keys)
            found[key] = (*found.get(key, ()), problem)
        return cls(folder, found)

    def assets(self) -> list[dg.AssetSpec]:
        """One external asset for each broken file."""
        return [_asset(key, found) for key, found in self.problems.items()]

    def checks(self) -> list[dg.AssetChecksDefinition]:
        """One check for each: does the file, as it is now, still have problems?"""
        return [_check(self.folder, key, {problem.file for problem in found}) for key, found in self.problems.items()]

    def evaluations(self) -> list[dg.AssetCheckEvaluation]:
        """The checks' results as the definitions were loaded: all failed."""
        return [_evaluation(key, found) for key, found in self.problems.items()]


def _key(file: Path, keys: Keys) -> dg.AssetKey:
    """A broken flow stands where its deliveries would, a source or destination under its name; what has no proper name, apart from all."""
    folder = file.parent.name
    if file.suffix != ".yaml" or not re.fullmatch(NAME_PATTERN, file.stem) or folder not in FOLDERS.values():
        return dg.AssetKey([*keys.prefix, GROUP, re.sub(r"[^A-Za-z0-9_]", "_", f"{folder}_{file.name}")])
    return keys.deliveries(file.stem) if folder == FOLDERS["flow"] else dg.AssetKey([*keys.prefix, folder, file.stem])


def _asset(key: dg.AssetKey, problems: Sequence[Problem]) -> dg.AssetSpec:
    first = problems[0]
    reference = dg.LocalFileCodeReference(file_path=str(Path(first.file).absolute()), line_number=first.line, label=Path(first.file).name)
    return dg.AssetSpec(
        key,
        description=f"Broken spec: nothing is delivered by it. Correct it, then reload the definitions.\n\n{problem_list(problems)}",
        group_name=GROUP,
        metadata={"problems": len(problems), "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])},
    )


def _check(folder: Path, key: dg.AssetKey, files: Collection[str]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=CHECK, description="Reads the spec again: whether it is valid now.")
    def spec_is_valid() -> dg.AssetCheckResult:
        now = [problem for problem in load_specs_tolerantly(folder)[1] if problem.file in files]
        text = problem_list(now) if now else "The file is valid now: reload the definitions."
        return dg.AssetCheckResult(passed=not now, severity=dg.AssetCheckSeverity.ERROR, description=text)

    return spec_is_valid


def _evaluation(key: dg.AssetKey, problems: Sequence[Problem]) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK,
        passed=False,
        metadata={},
        severity=dg.AssetCheckSeverity.ERROR,
        description=problem_list(problems),
    )
