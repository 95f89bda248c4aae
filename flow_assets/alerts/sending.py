"""How do several channels get their messages, when one of them may not answer? All at once, none waiting for another."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

from flow_assets.alerts import mail, webhook
from flow_assets.errors import FlowError
from flow_assets.plan.messages import Message
from flow_assets.spec.alerts import Channel, Webhook

PATIENCE_SECONDS: Final = 25
"""As long at most all of them take together; a server that answers by drips is left alone then."""


@dataclass(frozen=True)
class Sent:
    """Whether a channel took a message, and a sentence about it, without secrets."""

    taken: bool
    sentence: str


def send_all(
    messages: Mapping[str, Message], channels: Mapping[str, Channel], now: datetime, environ: Mapping[str, str] | None = None
) -> dict[str, Sent]:
    """Send each channel its message. Raises nothing."""
    found: dict[str, Sent] = {}

    def send(name: str, channel: Channel, message: Message) -> None:
        try:
            sentence = _send(name, channel, message, now, environ)
        except FlowError as error:
            found[name] = Sent(False, str(error))
        except Exception as error:  # noqa: BLE001  # one channel must not keep the others from being told
            found[name] = Sent(False, f"channel {name}: unexpected {type(error).__name__} — please report it")
        else:
            found[name] = Sent(True, sentence)

    threads = [threading.Thread(target=send, args=(name, channels[name], one), daemon=True) for name, one in messages.items()]
    end = monotonic() + PATIENCE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    late = Sent(False, f"was not done within {PATIENCE_SECONDS} s — is its server overloaded?")
    return {name: found.get(name) or Sent(False, f"channel {name} {late.sentence}") for name in messages}


def _send(name: str, channel: Channel, message: Message, now: datetime, environ: Mapping[str, str] | None) -> str:
    if isinstance(channel, Webhook):
        return webhook.post(name, channel, message, now, environ)
    return mail.send(name, channel, message, now, environ)
