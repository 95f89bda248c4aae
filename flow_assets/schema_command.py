"""What do editors need to complete and mark specs? ``flows schema``: the schemas, with the names of this project if that is asked for."""

import json
from pathlib import Path

import click

from flow_assets.commands import Folders
from flow_assets.errors import FlowError
from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.folders import shown
from flow_assets.spec.schema import Schema, json_schema
from flow_assets.spec.schema_files import write_schemas


@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--with-names", is_flag=True, help="Offer the sources, destinations, properties and owners that there are.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write a file for each kind into this folder.")
def schema(folders: Folders, kind: Kind | None, with_names: bool, out: Path | None) -> None:
    """JSON Schema of a kind of spec, for editors; of all kinds, by name, if none is given."""
    kinds = (kind,) if kind else KINDS
    schemas = _with_names(folders.specs, kinds) if with_names else {each: json_schema(each) for each in kinds}
    if out:
        for file in write_schemas(out, schemas):
            click.echo(f"{shown(file)}: written")
        return
    told: object = schemas[kind] if kind else schemas
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))


def _with_names(folder: Path, kinds: tuple[Kind, ...]) -> dict[Kind, Schema]:
    from flow_assets.sources.opening import open_source
    from flow_assets.spec.load import load_specs_tolerantly
    from flow_assets.spec.named_schema import named_schemas

    specs, problems = load_specs_tolerantly(folder)
    if problems:
        click.echo(f"note: {len(problems)} problems in the specs; the names of those with errors are not offered (`flows check`)", err=True)
    columns = {}
    for name, source in specs.sources.items():
        try:
            columns[name] = [column.name for column in open_source(source, specs.project).columns()]
        except FlowError as error:
            click.echo(f"note: properties of {name} are not offered, the source cannot be read ({error})", err=True)
    return named_schemas(specs, columns, kinds)
