"""A small valid project of specs that tests change one line of."""

from pathlib import Path

SOURCE = """\
type: delta
uri: data/web_events
columns:
  event_time: hit_time_utc
  event_id: event_id
  site: site_id
  consent: visitor_privacy_consent
unavailable: [visit_bounce]
"""
PARQUET = """\
type: parquet
uri: data/web_events
columns:
  event_time: hit_time_utc
  inserted_at: inserted_at
settle: 5m
"""
SFTP = """\
type: sftp
host: sftp.partner.example
port: 22
username: acme
password: {env: PARTNER_SFTP_PASSWORD}
private_key: {env: PARTNER_SFTP_KEY}
passphrase: {env: PARTNER_SFTP_PASSPHRASE}
host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
root: /incoming
"""
S3 = """\
type: s3
bucket: acme-feeds
prefix: incoming/acme
region: eu-west-1
endpoint_url: https://s3.example.com
access_key_id: {env: KEY_ID}
secret_access_key: {env: SECRET_KEY}
role_arn: arn:aws:iam::123456789012:role/flows
external_id: acme
sse: aws:kms
kms_key_id: alias/flows
"""
FTP = """\
type: ftp
host: ftp.partner.example
username: acme
password: {env: PARTNER_FTP_PASSWORD}
tls: explicit
ca_file: secrets/ca.pem
"""
LOCAL = "type: local\nroot: delivered\n"
FLOW = """\
description: Page views and purchases for the growth team
owners: ["team:growth", ada@example.com]
source: web_events
sites: [123, "abc"]
privacy_filter: true
properties: {include: [event_id, page_url]}
where: "event_name <> 'heartbeat'"
format: {type: csv, delimiter: ";", max_file_bytes: 1048576}
every: 15m
partition_by: quarter_hour
destination: partner_sftp
folder: Ünï códe/my folder
start: 2026-01-01T00:00:00Z
history_start: 2025-12-01
freshness: {warn_after: 30m, fail_after: 60m}
enabled: true
"""
INGEST = """\
description: What the shop's visitors did
owners: ["team:growth"]
flow: shop_feed
destination: partner_sftp
folder: myFolder
further_folders: [regenerated]
into: warehouse.duckdb
table: web.events
every: 30m
enabled: true
"""
ALERTS = """\
ui: https://dagster.example.com
after: 10m
channels:
  on_call:
    type: webhook
    url: {env: ALERTS_URL}
    format: slack
    flows: [shop_feed]
  growth:
    type: mail
    host: smtp.example.com
    tls: starttls
    port: 2525
    username: flows
    password: {env: ALERTS_MAIL_PASSWORD}
    from: flows@example.com
    to: [growth@example.com, ada@example.com]
    flows: all
    owners: ["team:growth"]
"""
FILES = {
    "sources/web_events.yaml": SOURCE,
    "sources/parquet_events.yaml": PARQUET,
    "destinations/partner_sftp.yaml": SFTP,
    "destinations/partner_ftp.yaml": FTP,
    "destinations/bucket.yaml": S3,
    "destinations/here.yaml": LOCAL,
    "flows/shop_feed.yaml": FLOW,
    "ingests/shop_events.yaml": INGEST,
    "alerts.yaml": ALERTS,
}


def write_specs(project: Path, changes: dict[str, str | bytes | None] | None = None) -> Path:
    """Write the valid project with some files changed, added, or (None) left out; returns the folder of specs."""
    folder = project / "flow_specs"
    for path, text in {**FILES, **(changes or {})}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def with_line(text: str, number: int, line: str | None) -> str:
    """A text whose line ``number`` (from 1) reads ``line``, or is gone."""
    lines = text.splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    return "\n".join(lines) + "\n"
