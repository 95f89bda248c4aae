"""Alerts: who is told that a flow is in trouble, and how."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from flow_assets.errors import PermanentError
from flow_assets.spec import forms
from flow_assets.spec.base import Host, Line, Name, Port, Secret, Strict, Url, needs
from flow_assets.spec.durations import Duration
from flow_assets.spec.flow import Flow, Owner
from flow_assets.spec.models import Model

FILE = "alerts.yaml"

MailAddress = Annotated[str, AfterValidator(forms.mail_address)]
MailAddresses = Annotated[tuple[MailAddress, ...], Field(min_length=1), AfterValidator(forms.without_duplicates)]
FlowNames = Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(forms.without_duplicates)]
ChannelName = Annotated[str, AfterValidator(forms.spec_name)]

_PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def _which_url(value: Any) -> str | None:
    """Whatever is not exactly one of the forms gets one message, which names no key of it: somebody may have pasted a secret."""
    if isinstance(value, str):
        return "url"
    return "{env}" if isinstance(value, Secret) or (isinstance(value, dict) and set(value) == {"env"}) else None


WebhookUrl = Annotated[
    Annotated[Annotated[str, AfterValidator(forms.webhook_url)], Tag("url")] | Annotated[Secret, Tag("{env}")],
    Discriminator(
        _which_url,
        custom_error_type="form",
        custom_error_message="is neither an address nor a reference — write `{env: ALERTS_URL}`, and put the URL into that variable",
    ),
]


def _which_flows(value: Any) -> str | None:
    return "all" if value == "all" else "[list]" if isinstance(value, list | tuple) else None


Flows = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[FlowNames, Tag("[list]")],
    Discriminator(
        _which_flows, custom_error_type="form", custom_error_message="is neither `all` nor a list — write `all` or `[shop_feed]`"
    ),
]


class _Channel(Strict):
    flows: Flows = Field(
        default="all", description="Which flows it is told of: `all`, and then of models too, or a list of names.", examples=[["shop_feed"]]
    )
    owners: Annotated[tuple[Owner, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(), description="Of these flows and models only those that have one of these owners.", examples=[["team:growth"]]
    )

    def concerns(self, spec: Flow | Model) -> bool:
        """Whether this channel is told of a flow, or of a model: of those that are not named, all."""
        named = self.flows == "all" or (isinstance(spec, Flow) and spec.name in self.flows)
        return named and (not self.owners or not set(self.owners).isdisjoint(spec.owners))


class Webhook(_Channel):
    """Messages are posted to a URL."""

    type: Literal["webhook"] = Field(description="Messages are posted to a URL.")
    url: WebhookUrl = Field(
        description="Where to, `http` or `https`. Whoever knows a webhook's URL can post to it, so it is a secret, by reference; "
        "one that holds no secret may stand here as it is.",
        examples=[{"env": "ALERTS_URL"}],
    )
    format: Literal["json", "slack"] = Field(
        default="json", description="`json` tells everything in keys; `slack` is `{text: …}`, which Slack, Mattermost and others show."
    )

    def address(self, environ: Any = None) -> str:
        """The URL to post to, maybe a secret.

        Raises:
            PermanentError: the environment variable is not set, or holds no URL.
        """
        if not isinstance(self.url, Secret):
            return self.url
        url = self.url.reveal(environ)
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            known = False
        if not known or not url.isprintable() or not url.isascii() or " " in url:
            raise PermanentError(f"the environment variable {self.url.env} holds no URL — set it to one, https://host/path")
        return url


class Mail(_Channel):
    """Messages are sent as mail."""

    type: Literal["mail"] = Field(description="Messages are sent as mail.")
    host: Host = Field(description="Host name or address of the mail server that takes them.", examples=["smtp.example.com"])
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="`starttls` upgrades the connection, `implicit` begins with TLS, `none` sends password and text in the clear.",
    )
    port: Port | None = Field(
        default=None, description="TCP port; 587, 465 with implicit TLS, 25 without any, unless given.", examples=[2525]
    )
    username: Line | None = Field(default=None, description="Account on the server, if it wants one.", examples=["flows"])
    password: Secret | None = Field(
        default=None,
        description="Password, by reference; together with `username`.",
        examples=[{"env": "ALERTS_MAIL_PASSWORD"}],
        validate_default=True,
    )
    sender: MailAddress = Field(alias="from", description="Address that the mail comes from.", examples=["flows@example.com"])
    to: MailAddresses = Field(description="Addresses that it goes to.", examples=[["on-call@example.com"]])

    @field_validator("password")
    @classmethod
    def _with_account(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        needs(value, info, "username")
        if value is None and info.data.get("username") is not None:
            raise ValueError("is missing: `username` is of no use alone — add `password: {env: NAME}`")
        return value

    @property
    def tcp_port(self) -> int:
        """The port to connect to."""
        return self.port or _PORTS[self.tls]


Channel = Annotated[Webhook | Mail, Field(discriminator="type")]


class Alerts(Strict):
    """Who is told when a flow fails or falls behind, and when it is well again."""

    name: Name = Field(exclude=True, description="The file's stem.")
    ui: Url | None = Field(
        default=None,
        description="Where people reach the Dagster UI: messages then link to the flows' pages.",
        examples=["https://dagster.example.com"],
    )
    after: Duration = Field(
        default=timedelta(minutes=5),
        description="How long a flow must have been in trouble before it is told: what heals by itself until then is not.",
        json_schema_extra={"default": "5m"},
    )
    channels: dict[ChannelName, Channel] = Field(
        description="Who is told: channels by names of your own.",
        examples=[{"on_call": {"type": "webhook", "url": {"env": "ALERTS_URL"}}}],
    )

    @field_validator("channels")
    @classmethod
    def _at_least_one(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise ValueError("names no channel — name one, such as `on_call: {type: webhook, url: {env: ALERTS_URL}}`, or remove the file")
        return value
