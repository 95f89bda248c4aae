"""How is a message posted to a webhook?"""

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from flow_assets.alerts import network
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.plan.messages import Message
from flow_assets.plan.times import format_time
from flow_assets.spec.alerts import Webhook
from flow_assets.spec.base import Secret

VERSION = 1
"""Of the JSON; changes only when a meaning does."""


def post(name: str, channel: Webhook, message: Message, now: datetime, environ: Mapping[str, str] | None = None) -> str:
    """Post a message to a channel; gives what is to be said of it.

    Raises:
        PermanentError, RetryableError: it was not taken. The URL may be a secret, so it is named by its variable alone.
    """
    where = _where(name, channel)
    said = slack(message) if channel.format == "slack" else generic(message, now)
    body = json.dumps(said, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "flow_assets"}
    try:
        request = Request(channel.address(environ), body, headers)  # noqa: S310 (the address is http or https)
        with build_opener(_NoRedirect).open(request, timeout=network.TIMEOUT_SECONDS):
            return f"{where} took it"
    except HTTPError as error:
        raise _refused(where, error.code) from None
    except URLError as error:
        raise _failed(where, error.reason) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _failed(where, error) from None


def generic(message: Message, now: datetime) -> dict[str, Any]:
    """Everything, in keys."""
    return {
        "version": VERSION,
        "kind": "alert" if message.changes else "test",
        "id": message.id,
        "sent_at": format_time(now),
        "title": message.title,
        "text": message.text,
        "changes": list(message.changes),
    }


def slack(message: Message) -> dict[str, Any]:
    """What Slack and its likes show. Three characters mean something to them, such as a call to everybody."""
    return {"text": message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


class _NoRedirect(HTTPRedirectHandler):
    """A redirected post becomes a get, which any page answers: it would look as if the message had been taken."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _where(name: str, channel: Webhook) -> str:
    if isinstance(channel.url, Secret):
        return f"webhook {name} (${channel.url.env})"
    parts = urlsplit(channel.url)
    return f"webhook {name} ({parts.scheme}://{parts.netloc})"


def _refused(where: str, code: int) -> FlowError:
    known = code in HTTPStatus.__members__.values()
    answer = f"{where}: the server answered {code}" + (f" {HTTPStatus(code).phrase}" if known else "")
    if code == 429 or code >= 500:
        return RetryableError(f"{answer} — look into its log if that lasts")
    if 300 <= code < 400:
        return PermanentError(f"{answer}, which leads to another address — give that one")
    return PermanentError(f"{answer} — is this still the webhook's URL, and `format` what it takes?")


def _failed(where: str, error: object) -> FlowError:
    if isinstance(error, OSError):
        return network.unreachable(where, error)
    if isinstance(error, ValueError):
        return PermanentError(f"{where}: this is no URL that can be posted to — correct it")
    return RetryableError(f"{where}: what answers there does not speak HTTP, or hung up — is the port right?")
