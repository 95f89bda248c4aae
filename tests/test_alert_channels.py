"""Messages arrive at real servers; where they do not, a plain sentence says why, and no other channel waits."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from flow_assets.alerts import network
from flow_assets.alerts.sending import Sent, send_all
from flow_assets.plan.alerts import Condition, News
from flow_assets.plan.messages import Message, compose
from flow_assets.spec.alerts import Alerts, Channel
from tests.servers.keys import certificate
from tests.servers.process import free_port
from tests.servers.smtp import HOST, MailServer, mail_server
from tests.servers.webhook import WebhookServer, webhook

NOW = datetime(2026, 1, 1, 10, 20, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=5)
PASSWORD, TOKEN = "correct-horse", "T01hunter2B02"
CAUSE = "sftp://acme@partner:22: <the server> refused the password & hung up"
FIRST_LINE = f"flow shop_feed is failing since 2026-01-01 10:15 UTC: {CAUSE}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with webhook() as running:
        yield running


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


def message() -> Message:
    condition = Condition("flow shop_feed", "stuck", SINCE, CAUSE, "Correct the password.\nThen materialize it.")
    made = compose([News(condition, SINCE, None, "destination partner_sftp")], lambda _: "https://ui/assets/deliveries/shop_feed", NOW)
    assert made.title.replace(", until somebody acts", "") == FIRST_LINE
    return made


def channels(**said: dict[str, Any]) -> dict[str, Channel]:
    return dict(Alerts.model_validate({"name": "alerts", "channels": said}).channels)


def hook(server: WebhookServer, **said: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": {"env": "ALERTS_URL"}, **said}


def mail(server: MailServer, **said: Any) -> dict[str, Any]:
    account = {"username": "flows", "password": {"env": "PASSWORD"}} if server.account else {}
    sender = {"from": "flows@example.com", "to": ["ada@example.com", "on-call@example.com"]}
    return {"type": "mail", "host": HOST, "port": server.port, "tls": server.tls, **account, **sender, **said}


def send(said: dict[str, Any], url: str = "", password: str = PASSWORD) -> Sent:
    """Send the message to one channel; whatever becomes of it, no secret is told."""
    environ = {"ALERTS_URL": url, "PASSWORD": password}
    found = send_all({"on_call": message()}, channels(on_call=said), NOW, environ)["on_call"]
    assert password not in found.sentence
    assert TOKEN not in found.sentence
    return found


def refusal(said: dict[str, Any], url: str = "", password: str = PASSWORD) -> str:
    found = send(said, url, password)
    assert not found.taken
    assert " — " in found.sentence
    return found.sentence


def test_a_webhook_is_posted_everything_in_keys(server: WebhookServer) -> None:
    found = send(hook(server), server.url(f"/hooks/{TOKEN}?token={TOKEN}"))
    assert (found.taken, found.sentence) == (True, "webhook on_call ($ALERTS_URL) took it")
    (posted,) = server.posted
    assert server.paths == [f"POST /hooks/{TOKEN}?token={TOKEN}"]
    assert server.types == ["application/json; charset=utf-8"]
    assert posted == {
        "version": 1,
        "kind": "alert",
        "id": message().id,
        "sent_at": "2026-01-01T10:20:00.000000Z",
        "title": message().title,
        "text": message().text,
        "changes": [
            {
                "kind": "flow",
                "name": "shop_feed",
                "state": "failing",
                "needs_somebody": True,
                "since": "2026-01-01T10:15:00.000000Z",
                "shared": "destination partner_sftp",
                "cause": CAUSE,
                "sentence": "Correct the password.\nThen materialize it.",
                "url": "https://ui/assets/deliveries/shop_feed",
            }
        ],
    }


def test_slack_is_posted_text_in_which_nothing_is_a_command(server: WebhookServer) -> None:
    assert send(hook(server, format="slack"), server.url()).taken
    (posted,) = server.posted
    assert list(posted) == ["text"]
    assert "&lt;the server&gt; refused the password &amp; hung up\nCorrect the password." in posted["text"]


def test_a_url_that_is_no_secret_may_stand_in_the_file(server: WebhookServer) -> None:
    found = send(hook(server, url=server.url("/flows")))
    assert found.sentence == f"webhook on_call (http://{HOST}:{server.port}) took it"


@pytest.mark.parametrize(
    ("status", "piece"),
    [
        (500, "the server answered 500 Internal Server Error — look into its log"),
        (429, "the server answered 429 Too Many Requests"),
        (404, "the server answered 404 Not Found — is this still the webhook's URL"),
        (599, "the server answered 599 — "),
    ],
)
def test_an_answer_that_is_no_success_is_told(server: WebhookServer, status: int, piece: str) -> None:
    server.status = status
    assert piece in refusal(hook(server), server.url(f"/{TOKEN}"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_taken_for_an_answer(server: WebhookServer, status: int) -> None:
    server.status, server.headers = status, {"Location": server.url(f"/login?{TOKEN}")}
    assert "leads to another address — give that one" in refusal(hook(server), server.url())
    assert server.paths == ["POST /hook"]


def test_a_webhook_that_refuses_the_connection_is_told(server: WebhookServer) -> None:
    sentence = refusal(hook(server), f"http://{HOST}:{free_port()}/{TOKEN}")
    assert sentence == "webhook on_call ($ALERTS_URL): the connection was refused — is the server up, and the port right?"


def test_a_webhook_of_an_unknown_host_is_told(server: WebhookServer) -> None:
    assert "there is no host of this name" in refusal(hook(server), f"http://nowhere.invalid/{TOKEN}")


def test_what_answers_and_is_no_web_server_is_told(smtp: MailServer) -> None:
    assert "does not speak HTTP" in refusal({"type": "webhook", "url": {"env": "ALERTS_URL"}}, f"http://{HOST}:{smtp.port}/{TOKEN}")


def test_a_webhook_without_its_variable_is_told(server: WebhookServer) -> None:
    assert "the environment variable ALERTS_URL is not set" in refusal(hook(server))


@pytest.mark.parametrize("trusted", [True, False])
def test_https_is_taken_from_those_only_whom_we_trust(pem: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with webhook(pem) as server:
        if trusted:
            assert send(hook(server), server.url()).taken
        else:
            assert "certificate is not trusted (self-signed certificate) — " in refusal(hook(server), server.url(f"/{TOKEN}"))
            assert server.posted == []


def test_a_slow_server_keeps_no_other_channel_waiting(server: WebhookServer, smtp: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TIMEOUT_SECONDS", 0.5)
    with webhook() as slow, mail_server() as silent:
        slow.talks.clear()
        silent.silent = True
        said = {
            "a": {"type": "webhook", "url": slow.url()},
            "b": mail(silent),
            "c": {"type": "webhook", "url": server.url()},
            "d": mail(smtp),
        }
        began = time.monotonic()
        found = send_all(dict.fromkeys(said, message()), channels(**said), NOW)
        assert time.monotonic() - began < 3
    assert {name: one.taken for name, one in found.items()} == {"a": False, "b": False, "c": True, "d": True}
    assert "no answer within 0.5 s" in found["a"].sentence
    assert "no answer within 0.5 s" in found["b"].sentence
    assert (len(server.posted), len(smtp.kept)) == (1, 1)


def test_mail_says_everything_in_its_subject_and_the_rest_in_its_text(smtp: MailServer) -> None:
    found = send(mail(smtp))
    assert (found.taken, found.sentence) == (True, f"mail on_call ({HOST}:{smtp.port}) took it")
    ((to, sent),) = smtp.kept
    assert to == ["ada@example.com", "on-call@example.com"]
    assert (sent["From"], sent["To"]) == ("flows@example.com", "ada@example.com, on-call@example.com")
    assert sent["Subject"] == message().title
    assert sent["Message-ID"] == f"<{message().id}.flow_assets@example.com>"
    assert parsedate_to_datetime(sent["Date"]) == NOW
    assert sent.get_content().rstrip("\n").splitlines() == message().text.splitlines()


def test_mail_logs_in_over_starttls(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with mail_server("starttls", pem, ("flows", PASSWORD)) as server:
        assert send(mail(server)).taken
        assert (server.logged_in, len(server.kept)) == (["flows"], 1)


def test_mail_logs_in_over_implicit_tls(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with mail_server("implicit", pem, ("flows", PASSWORD)) as server:
        assert send(mail(server)).taken
        assert (server.logged_in, len(server.kept)) == (["flows"], 1)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_mail_server_that_signed_its_certificate_itself_gets_no_password(pem: Path, tls: Any) -> None:
    with mail_server(tls, pem, ("flows", PASSWORD)) as server:
        assert "certificate is not trusted (self-signed certificate) — " in refusal(mail(server))
        assert server.logged_in == server.kept == []


def test_a_wrong_password_is_told_and_not_what_the_server_says_of_it(smtp: MailServer) -> None:
    smtp.account = ("flows", PASSWORD)
    assert "the server refused account and password (535) — correct them" in refusal(mail(smtp), password="wrong-battery")


def test_a_password_that_no_mail_server_takes_is_told(smtp: MailServer) -> None:
    smtp.account = ("flows", PASSWORD)
    assert "other characters than ASCII" in refusal(mail(smtp), password="pässword")


def test_a_server_without_starttls_gets_nothing(smtp: MailServer) -> None:
    assert "offers no STARTTLS" in refusal(mail(smtp, tls="starttls"))
    assert smtp.kept == []


def test_one_address_that_is_refused_does_not_have_the_others_written_again_and_again(smtp: MailServer) -> None:
    smtp.unknown = {"ada@example.com"}
    found = send(mail(smtp))
    assert found.taken
    assert "but refused ada@example.com — correct `to`" in found.sentence
    assert [to for to, _ in smtp.kept] == [["on-call@example.com"]]


def test_a_mail_that_nobody_may_get_is_told(smtp: MailServer) -> None:
    smtp.unknown = {"ada@example.com", "on-call@example.com"}
    assert "refused every address (ada@example.com: 550, on-call@example.com: 550)" in refusal(mail(smtp))


@pytest.mark.parametrize(("answer", "piece"), [("451 later", "answered 451 later"), (f"554 spam {PASSWORD}", "answered 554 spam ***")])
def test_a_mail_that_is_not_taken_is_told(smtp: MailServer, answer: str, piece: str) -> None:
    smtp.account, smtp.answer_to_data = ("flows", PASSWORD), answer
    assert piece in refusal(mail(smtp))


def test_a_mail_server_that_refuses_the_connection_is_told(smtp: MailServer) -> None:
    port = free_port()
    assert refusal(mail(smtp, port=port)).startswith(f"mail on_call ({HOST}:{port}): the connection was refused — ")


def test_what_answers_and_is_no_mail_server_is_told(server: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TIMEOUT_SECONDS", 0.3)
    assert refusal(mail(MailServer(port=server.port)))


def test_a_fault_of_ours_keeps_no_other_channel_from_being_told(server: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> str:
        raise KeyError(TOKEN)

    from flow_assets.alerts import mail as module

    broken: Callable[..., str] = fails
    monkeypatch.setattr(module, "send", broken)
    said = {"a": mail(MailServer(port=1)), "b": {"type": "webhook", "url": server.url()}}
    found = send_all(dict.fromkeys(said, message()), channels(**said), NOW)
    assert found["b"].taken
    assert found["a"].sentence == "channel a: unexpected KeyError — please report it"
