"""What does the user hear about one mistake? Its file, its line, its key, a plain message, and what to do."""

from pathlib import Path

import pytest

from flow_assets.errors import SpecError
from flow_assets.spec.load import load_specs
from tests.spec_project import FILES, SFTP, with_line, write_specs

WRONG_KIND_OF_KEY = SFTP.splitlines()[7].replace("ssh-ed25519", "ssh-rsa")

# Each row: the file, its changed line (or None: without it), then where the error must be and a piece of it.
ONE_LINE_WRONG = [
    # flows
    ("flows/shop_feed.yaml", 2, "owners: [growth]", 2, "owners[0]", "neither an e-mail address nor a team"),
    ("flows/shop_feed.yaml", 2, "owners: [team:a, team:A]", 2, "owners", "twice"),
    ("flows/shop_feed.yaml", 3, "source: web_event", 3, "source", "did you mean `web_events`?"),
    ("flows/shop_feed.yaml", 3, "source: Web Events", 3, "source", "not of the right form"),
    ("flows/shop_feed.yaml", 3, None, 1, "source", "is missing — write `source: web_events`"),
    ("flows/shop_feed.yaml", 3, "source: parquet_events", 4, "sites", "names no site column — add `columns.site`"),
    ("flows/shop_feed.yaml", 3, "source: parquet_events", 5, "privacy_filter", "names no consent column"),
    ("flows/shop_feed.yaml", 4, "sites: []", 4, "sites", "empty list"),
    ("flows/shop_feed.yaml", 4, "sites: 123", 4, "sites", "neither `all` nor a list"),
    ("flows/shop_feed.yaml", 4, "sites: [1, true]", 4, "sites[1]", "not a site id"),
    ("flows/shop_feed.yaml", 4, 'sites: [1, "1"]', 4, "sites", "names `1` twice"),
    ("flows/shop_feed.yaml", 5, "privacy_filter: yes", 5, "privacy_filter", "write one of `true`, `false`, `strict`"),
    ("flows/shop_feed.yaml", 5, "privacy_filter: 1", 5, "privacy_filter", "is a number"),
    ("flows/shop_feed.yaml", 6, "properties: {includes: [a]}", 6, "properties", "none of the three forms"),
    ("flows/shop_feed.yaml", 6, "properties: {include: [a], exclude: [b]}", 6, "properties", "none of the three forms"),
    ("flows/shop_feed.yaml", 6, "properties: {include: []}", 6, "properties.include", "empty list"),
    ("flows/shop_feed.yaml", 6, "properties: {include: [a, b, a]}", 6, "properties.include", "names `a` twice"),
    ("flows/shop_feed.yaml", 6, "properties: {include: [a, visit_bounce]}", 6, "properties.include[1]", "computed on the fly"),
    ("flows/shop_feed.yaml", 6, "properties: {include: [1]}", 6, "properties.include[0]", "must be text"),
    ("flows/shop_feed.yaml", 7, "where: event_name = 'a') or (1=1", 7, "where", "not a SQL expression"),
    ("flows/shop_feed.yaml", 7, "where: visit_bounce", 7, "where", "computed on the fly"),
    ("flows/shop_feed.yaml", 7, "where: true", 7, "where", "must be text"),
    ("flows/shop_feed.yaml", 7, f"where: {'x' * 10001}", 7, "where", "at most 10000 characters"),
    ("flows/shop_feed.yaml", 8, "format: csv", 8, "format", "must hold keys and values"),
    ("flows/shop_feed.yaml", 8, "format: {typ: csv}", 8, "format.type", "is missing — write `type:` and one of `csv`, `ndjson`, `parquet`"),
    ("flows/shop_feed.yaml", 8, "format: {type: cvs}", 8, "format.type", "did you mean `csv`?"),
    ("flows/shop_feed.yaml", 8, "format: {type: csv, delimiter: tab}", 8, "format.delimiter", r'`"\t"`'),
    ("flows/shop_feed.yaml", 8, "format: {type: ndjson, delimiter: ','}", 8, "format.delimiter", "not a known key"),
    ("flows/shop_feed.yaml", 8, "format: {type: csv, max_file_bytes: 10}", 8, "format.max_file_bytes", "too small — write 1024 or more"),
    ("flows/shop_feed.yaml", 8, "format: {type: csv, max_file_bytes: 1e6}", 8, "format.max_file_bytes", "whole number"),
    ("flows/shop_feed.yaml", 9, "every: 20m", 9, "every", "write one of `5m`, `15m`, `30m`, `60m`, `1d`"),
    ("flows/shop_feed.yaml", 9, "every: 15", 9, "every", "not one of the allowed values"),
    ("flows/shop_feed.yaml", 9, "evry: 15m", 9, "evry", "not a known key — did you mean `every`?"),
    ("flows/shop_feed.yaml", 9, "evry: 15m", 1, "every", "is missing"),
    ("flows/shop_feed.yaml", 10, "preview: true", 10, "preview", "does not say which columns are sensitive — add `sensitive: [...]`"),
    ("flows/shop_feed.yaml", 10, "partition_by: hours", 10, "partition_by", "did you mean `hour`?"),
    ("flows/shop_feed.yaml", 11, "destination: xyz", 11, "destination", "add destinations/xyz.yaml, or use `bucket`, `here`"),
    ("flows/shop_feed.yaml", 12, "folder: ../up", 12, "folder", "`..`"),
    ("flows/shop_feed.yaml", 12, "folder: a/../../up", 12, "folder", "`..`"),
    ("flows/shop_feed.yaml", 12, "folder: ./a", 12, "folder", "`..`"),
    ("flows/shop_feed.yaml", 12, "folder: /etc", 12, "folder", "begins or ends with `/`"),
    ("flows/shop_feed.yaml", 12, "folder: a//b", 12, "folder", "empty part"),
    ("flows/shop_feed.yaml", 12, "folder: 'a/ /b'", 12, "folder", "empty part"),
    ("flows/shop_feed.yaml", 12, r"folder: a\b", 12, "folder", "backslash"),
    ("flows/shop_feed.yaml", 12, r'folder: "a\nb"', 12, "folder", "control character"),
    ("flows/shop_feed.yaml", 12, r'folder: "a\Lb"', 12, "folder", "control character"),
    ("flows/shop_feed.yaml", 12, f"folder: {'ü' * 101}", 12, "folder", "more than 200 bytes"),
    ("flows/shop_feed.yaml", 12, "folder: ''", 12, "folder", "is empty"),
    ("flows/shop_feed.yaml", 12, "folder:", 12, "folder", "has no value"),
    ("flows/shop_feed.yaml", 13, "start: 2026-01-01", 13, "start", "no time zone"),
    ("flows/shop_feed.yaml", 13, "start: 2026-02-30T00:00:00Z", 13, "start", "not a time"),
    ("flows/shop_feed.yaml", 13, "start: 20260101", 13, "start", "not a time"),
    ("flows/shop_feed.yaml", 13, "start: 1926-01-01T00:00:00Z", 13, "start", "outside of the years"),
    ("flows/shop_feed.yaml", 14, "history_start: 2026-01-02", 14, "history_start", "later than `start`"),
    ("flows/shop_feed.yaml", 14, "history_start: 1969-12-31", 14, "history_start", "outside of the years"),
    ("flows/shop_feed.yaml", 14, "history_start: 2025-12-01T00:00:00Z", 14, "history_start", "not a date"),
    ("flows/shop_feed.yaml", 15, "freshness: {warn_after: 9m, fail_after: 9m}", 15, "freshness.fail_after", "not longer than `warn_after`"),
    ("flows/shop_feed.yaml", 15, "freshness: {fail_after: 59s}", 15, "freshness.fail_after", "shorter than a minute"),
    ("flows/shop_feed.yaml", 15, "freshness: {fail_after: 1 hour}", 15, "freshness.fail_after", "not a duration"),
    ("flows/shop_feed.yaml", 15, "freshness: {fail_after: 999999999d}", 15, "freshness.fail_after", "longer than 3650 days"),
    ("flows/shop_feed.yaml", 15, "freshness: {fail_after: 99999999999999d}", 15, "freshness.fail_after", "not a duration"),
    ("flows/shop_feed.yaml", 16, "enabled: yes", 16, "enabled", "must be true or false"),
    ("flows/shop_feed.yaml", 16, "enabled: 1", 16, "enabled", "must be true or false"),
    ("flows/shop_feed.yaml", 16, "name: shop_feed", 16, "name", "remove it; the file's name is the spec's name"),
    # sources
    ("sources/web_events.yaml", 1, "type: detla", 1, "type", "did you mean `delta`?"),
    ("sources/web_events.yaml", 1, None, 1, "type", "is missing — write `type:` and one of `delta`, `parquet`, `duckdb`"),
    ("sources/web_events.yaml", 2, "uri: gs://bucket/x", 2, "uri", "cannot read"),
    ("sources/web_events.yaml", 2, "uri: s3:///x", 2, "uri", "not an S3 URI"),
    ("sources/web_events.yaml", 2, "uri: s3://key:secret@bucket/x", 2, "uri", "not an S3 URI"),
    ("sources/web_events.yaml", 2, "uri: data/*.parquet", 2, "uri", "is a pattern"),
    ("sources/web_events.yaml", 4, "  event_tim: t", 4, "columns.event_tim", "did you mean `event_time`?"),
    ("sources/web_events.yaml", 4, None, 3, "columns.event_time", "is missing"),
    ("sources/web_events.yaml", 8, "unavailable: [a, A]", 8, "unavailable", "twice"),
    ("sources/web_events.yaml", 8, "s3: {region: eu-west-1}", 8, "s3", "a folder of this machine"),
    ("sources/parquet_events.yaml", 5, None, 3, "columns.inserted_at", "is missing"),
    ("sources/parquet_events.yaml", 6, "settle: 5", 6, "settle", "not a duration"),
    # destinations
    ("destinations/here.yaml", 2, "root: ../../etc", 2, "root", "`..`"),
    ("destinations/here.yaml", 2, "root: out/", 2, "root", "ends with `/`"),
    ("destinations/bucket.yaml", 2, "bucket: s3://acme", 2, "bucket", "not the name of a bucket"),
    ("destinations/bucket.yaml", 3, "prefix: /incoming", 3, "prefix", "begins or ends with `/`"),
    ("destinations/bucket.yaml", 5, "endpoint_url: s3.example.com", 5, "endpoint_url", "not a URL"),
    ("destinations/bucket.yaml", 5, "endpoint_url: https://a:b@s3.example.com", 5, "endpoint_url", "more than an address"),
    ("destinations/bucket.yaml", 5, "endpoint_url: https://s3.example.com:x", 5, "endpoint_url", "not a URL"),
    ("destinations/bucket.yaml", 6, None, 6, "secret_access_key", "needs `access_key_id`"),
    ("destinations/bucket.yaml", 7, None, 1, "secret_access_key", "of no use alone"),
    ("destinations/bucket.yaml", 8, None, 8, "external_id", "needs `role_arn`"),
    ("destinations/bucket.yaml", 8, "role_arn: flows", 8, "role_arn", "not of the right form"),
    ("destinations/bucket.yaml", 10, "sse: AES256", 11, "kms_key_id", "only with `sse: aws:kms`"),
    ("destinations/bucket.yaml", 10, None, 10, "kms_key_id", "only with `sse: aws:kms`"),
    ("destinations/partner_sftp.yaml", 2, "host: sftp://partner.example", 2, "host", "without scheme"),
    ("destinations/partner_sftp.yaml", 2, "host: partner.example:22", 2, "host", "the port has a key of its own"),
    ("destinations/partner_sftp.yaml", 2, "host: a b", 2, "host", "not a host name"),
    ("destinations/partner_sftp.yaml", 3, "port: 70000", 3, "port", "too large — write 65535 or less"),
    ("destinations/partner_sftp.yaml", 3, "port: '22'", 3, "port", "whole number"),
    ("destinations/partner_sftp.yaml", 3, "port: true", 3, "port", "whole number"),
    ("destinations/partner_sftp.yaml", 4, "username: 12", 4, "username", "must be text — write it in quotes"),
    ("destinations/partner_sftp.yaml", 5, "password: {env: not a name}", 5, "password", "must name an environment variable"),
    ("destinations/partner_sftp.yaml", 6, None, 6, "passphrase", "needs `private_key`"),
    ("destinations/partner_sftp.yaml", 8, None, 1, "known_hosts", "`host_key` are both missing"),
    ("destinations/partner_sftp.yaml", 9, "known_hosts: hosts", 9, "known_hosts", "both given"),
    ("destinations/partner_sftp.yaml", 8, "host_key: AAAAC3NzaC1lZDI1NTE5AAAAI", 8, "host_key", "not a public host key"),
    ("destinations/partner_sftp.yaml", 8, "host_key: ssh-ed25519 AAAA...", 8, "host_key", "not base64"),
    ("destinations/partner_sftp.yaml", 8, "host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", 8, "host_key", "cut off"),
    ("destinations/partner_sftp.yaml", 8, WRONG_KIND_OF_KEY, 8, "host_key", "do not belong together"),
    ("destinations/partner_sftp.yaml", 9, "root: /in/../..", 9, "root", "`..`"),
    ("destinations/partner_ftp.yaml", 4, None, 1, "password", "is missing — write `password: {env: PARTNER_FTP_PASSWORD}`"),
    ("destinations/partner_ftp.yaml", 5, "tls: off", 5, "tls", "write one of `explicit`, `implicit`, `none`"),
    ("destinations/partner_ftp.yaml", 5, "tls: none", 6, "ca_file", "has no effect with `tls: none`"),
]  # fmt: skip


def _problems(folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("path", "number", "line", "wrong_line", "key", "piece"), ONE_LINE_WRONG)
def test_a_wrong_line_is_told_with_its_place_and_advice(
    tmp_path: Path, path: str, number: int, line: str | None, wrong_line: int, key: str, piece: str
) -> None:
    folder = write_specs(tmp_path, {path: with_line(FILES[path], number, line)})
    found = [text for text in _problems(folder) if text.startswith(f"{folder / path}:{wrong_line}: {key}: ")]
    assert len(found) == 1, _problems(folder)
    assert piece in found[0]
    assert " — " in found[0]


@pytest.mark.parametrize("path", sorted(FILES))
def test_one_wrong_line_gives_no_further_errors(tmp_path: Path, path: str) -> None:
    folder = write_specs(tmp_path, {path: FILES[path] + "unheard_of: 1\n"})
    assert len(_problems(folder)) == 1


def test_no_credential_at_all_is_told(tmp_path: Path) -> None:
    without = "\n".join(line for line in SFTP.splitlines() if not line.startswith(("pass", "private"))) + "\n"
    (problem,) = _problems(write_specs(tmp_path, {"destinations/partner_sftp.yaml": without}))
    assert "private_key: and `password` are both missing" in problem
