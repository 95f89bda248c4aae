"""``alerts.yaml``: what may be written, what is told about mistakes, and whom a channel is told of."""

from datetime import timedelta
from pathlib import Path

import pytest

from flow_assets.errors import PermanentError, SpecError
from flow_assets.spec.alerts import Alerts, Mail, Webhook
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from tests.spec_project import ALERTS, FLOW, with_line, write_specs

SHORT = "channels: {on_call: {type: webhook, url: http://alerts.internal:8080/hooks/flows}}\n"

# Each row: the changed line of ALERTS (or None: without it), then where the error must be and a piece of it.
ONE_LINE_WRONG = [
    (1, "ui: dagster.example.com", 1, "ui", "is not a URL"),
    (2, "after: 10", 2, "after", "not a duration"),
    (4, "  On Call:", 4, "channels.On Call", "is not a name — write lower-case letters"),
    (5, "    type: pager", 5, "channels.on_call.type", "write one of `webhook`, `mail`"),
    (5, None, 4, "channels.on_call.type", "is missing — write `type:` and one of `webhook`, `mail`"),
    (6, None, 4, "channels.on_call.url", "is missing — write `url: {env: ALERTS_URL}`"),
    (6, "    url: alerts.internal", 6, "channels.on_call.url", "is not a plain address"),
    (6, "    url: http://alerts.internal/?token=1", 6, "channels.on_call.url", "is a secret: `{env: ALERTS_URL}`"),
    (6, "    url: https://hooks.example.com/T01/abcdefgh12345678", 6, "channels.on_call.url", "seems to hold a secret"),
    (6, "    url: [1]", 6, "channels.on_call.url", "neither an address nor a reference"),
    (7, "    format: teams", 7, "channels.on_call.format", "write one of `json`, `slack`"),
    (8, "    flows: [shop_fed]", 8, "channels.on_call.flows[0]", "there is no flow `shop_fed` — did you mean `shop_feed`?"),
    (8, "    flows: shop_feed", 8, "channels.on_call.flows", "write `all` or `[shop_feed]`"),
    (8, "    flows: []", 8, "channels.on_call.flows", "is an empty list"),
    (8, "    host: x", 8, "channels.on_call.host", "is not a known key"),
    (11, None, 9, "channels.growth.host", "is missing — write `host: smtp.example.com`"),
    (12, "    tls: explicit", 12, "channels.growth.tls", "write one of `starttls`, `implicit`, `none`"),
    (13, "    port: 0", 13, "channels.growth.port", "is too small"),
    (14, None, 14, "channels.growth.password", "needs `username` beside it"),
    (15, None, 9, "channels.growth.password", "is missing: `username` is of no use alone"),
    (15, "    password: hunter2", 15, "channels.growth.password", "must name an environment variable"),
    (16, "    from: Flows <flows@example.com>", 16, "channels.growth.from", "is not a mail address"),
    (16, "    sender: flows@example.com", 16, "channels.growth.sender", "is not a known key"),
    (17, "    to: growth@example.com", 17, "channels.growth.to", "must be a list"),
    (17, '    to: ["a@b\\nBcc: c@d"]', 17, "channels.growth.to[0]", "is not a mail address"),
    (19, "    owners: [growth]", 19, "channels.growth.owners[0]", "neither an e-mail address nor a team"),
]


def channels(project: Path, text: str) -> dict[str, Webhook | Mail]:
    alerts = load_specs(write_specs(project, {"alerts.yaml": text})).alerts
    assert alerts is not None
    return alerts.channels


@pytest.mark.parametrize(("number", "line", "wrong_line", "key", "piece"), ONE_LINE_WRONG)
def test_a_wrong_line_is_told_with_its_place_and_advice(
    tmp_path: Path, number: int, line: str | None, wrong_line: int, key: str, piece: str
) -> None:
    folder = write_specs(tmp_path, {"alerts.yaml": with_line(ALERTS, number, line)})
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    told = [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]
    (found,) = [one for one in told if one.startswith(f"alerts.yaml:{wrong_line}: {key}: ")]
    assert piece in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "text", ["after: 5m\n", "channels: {}\n", "channels: []\n", "channels:\n", "channels: {a: }\n", "channels: {a: 1}\n"]
)
def test_a_file_without_a_channel_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"alerts\.yaml:1: channels(\.a)?: "):
        load_specs(write_specs(tmp_path, {"alerts.yaml": text}))


def test_what_is_not_written_has_a_default(tmp_path: Path) -> None:
    alerts = load_specs(write_specs(tmp_path, {"alerts.yaml": SHORT})).alerts
    assert alerts is not None
    assert (alerts.after, alerts.ui) == (timedelta(minutes=5), None)
    (channel,) = alerts.channels.values()
    assert isinstance(channel, Webhook)
    assert (channel.address(), channel.format, channel.flows) == ("http://alerts.internal:8080/hooks/flows", "json", "all")


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_port_of_a_mail_server_follows_from_its_tls(tmp_path: Path, tls: str, port: int) -> None:
    text = ALERTS.replace("tls: starttls", f"tls: {tls}").replace("    port: 2525\n", "")
    growth = channels(tmp_path, text)["growth"]
    assert isinstance(growth, Mail)
    assert growth.tcp_port == port


@pytest.mark.parametrize(
    "value", ["hunter2", "https://", "ftp://hunter2/x", "http://a b/hunter2", "http://[hunter2", "http://a:hunter2/", ""]
)
def test_a_variable_that_holds_no_url_is_named_and_not_its_value(tmp_path: Path, value: str) -> None:
    channel = channels(tmp_path, ALERTS)["on_call"]
    assert isinstance(channel, Webhook)
    with pytest.raises(PermanentError, match="ALERTS_URL") as caught:
        channel.address({"ALERTS_URL": value})
    assert "hunter2" not in str(caught.value)


def test_a_channel_is_told_of_named_flows_of_named_owners(tmp_path: Path) -> None:
    theirs = FLOW.replace('owners: ["team:growth", ada@example.com]\n', "").replace("folder: ", "folder: theirs/")
    specs = load_specs(write_specs(tmp_path, {"flows/theirs.yaml": theirs}))
    assert specs.alerts is not None
    told = {name: [flow for flow, spec in specs.flows.items() if one.concerns(spec)] for name, one in specs.alerts.channels.items()}
    assert told == {"on_call": ["shop_feed"], "growth": ["shop_feed"]}
    everybody = Alerts.model_validate({"name": "alerts", "channels": {"a": {"type": "webhook", "url": "http://a"}}})
    assert all(everybody.channels["a"].concerns(flow) for flow in specs.flows.values())


def test_a_broken_file_of_alerts_takes_nothing_else_down(tmp_path: Path) -> None:
    specs, problems = load_specs_tolerantly(write_specs(tmp_path, {"alerts.yaml": "channels: {}\n"}))
    assert specs.alerts is None
    assert set(specs.flows) == {"shop_feed"}
    assert [problem.file.rpartition("/")[2] for problem in problems] == ["alerts.yaml"]


@pytest.mark.parametrize("flow", [None, "broken: true\n"])
def test_alerts_outlive_a_flow_that_they_name(tmp_path: Path, flow: str | None) -> None:
    changes: dict[str, str | bytes | None] = {"flows/shop_feed.yaml": flow, "ingests/shop_events.yaml": None}
    folder = write_specs(tmp_path, changes)
    specs, problems = load_specs_tolerantly(folder)
    assert specs.alerts is not None
    assert any("there is no flow `shop_feed`" in problem.message for problem in problems) == (flow is None)


@pytest.mark.parametrize(
    ("path", "piece"),
    [
        ("alert.yaml", "or rename it to alerts.yaml"),
        ("alerts.yml", "or rename it to alerts.yaml"),
        ("flows/alerts.yaml", "channels: is not a known key"),
    ],
)
def test_alerts_in_another_place_are_not_overlooked(tmp_path: Path, path: str, piece: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_specs(write_specs(tmp_path, {"alerts.yaml": None, path: SHORT}))
    assert piece in str(caught.value)


def test_a_password_in_the_clear_is_warned_of(tmp_path: Path) -> None:
    text = ALERTS.replace("tls: starttls", "tls: none").replace("team:growth", "team:growht")
    warned = [str(one) for one in load_specs(write_specs(tmp_path, {"alerts.yaml": text})).warnings if "alerts.yaml" in one.file]
    assert [one.partition("alerts.yaml:")[2].partition(" — ")[0] for one in warned] == [
        "12: channels.growth.tls: password and messages travel in the clear",
        "19: channels.growth.owners[0]: no flow has this owner",
    ]
