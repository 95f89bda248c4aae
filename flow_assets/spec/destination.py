"""Destinations: where files go."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from flow_assets.spec import forms
from flow_assets.spec.base import Host, Line, Name, Port, Root, Secret, Strict, Url, needs
from flow_assets.spec.source import both_keys


class _Destination(Strict):
    name: Name = Field(exclude=True, description="The file's stem.")


class LocalDestination(_Destination):
    """A folder on this machine."""

    type: Literal["local"] = Field(description="A folder on this machine.")
    root: Root = Field(description="The folder; relative to the project, or absolute. Created if missing.", examples=["delivered"])


class S3Destination(_Destination):
    """A bucket of Amazon S3 or of any store with its API."""

    type: Literal["s3"] = Field(description="A bucket of Amazon S3 or of any store with its API.")
    bucket: Annotated[str, AfterValidator(forms.bucket_name)] = Field(
        description="The bucket; it must exist.", examples=["acme-feeds"], min_length=1
    )
    prefix: Annotated[str, AfterValidator(forms.confined_or_empty)] = Field(
        default="", description="Everything is delivered below this prefix.", examples=["incoming/acme"]
    )
    region: Line | None = Field(default=None, description="AWS region.", examples=["eu-west-1"])
    endpoint_url: Url | None = Field(
        default=None, description="Address of an S3-compatible store other than AWS.", examples=["https://s3.example.com"]
    )
    access_key_id: Secret | None = Field(
        default=None,
        description="Access key, by reference. Without it, credentials are found the usual way (environment, profile, instance role).",
        examples=[{"env": "S3_ACCESS_KEY_ID"}],
    )
    secret_access_key: Secret | None = Field(
        default=None,
        description="Secret key, by reference; together with `access_key_id`.",
        examples=[{"env": "S3_SECRET_ACCESS_KEY"}],
        validate_default=True,
    )
    role_arn: str | None = Field(
        default=None,
        description="Role to assume.",
        examples=["arn:aws:iam::123456789012:role/flows"],
        pattern=r"^arn:[a-z-]+:iam::[0-9]+:role/\S+$",
    )
    external_id: Line | None = Field(
        default=None, description="External id to assume the role with; together with `role_arn`.", examples=["acme-feeds-1"]
    )
    sse: Literal["AES256", "aws:kms"] | None = Field(default=None, description="Server-side encryption.")
    kms_key_id: Line | None = Field(
        default=None, description="KMS key to encrypt with; together with `sse: aws:kms`.", examples=["alias/flows"]
    )
    checksum: Literal["when_supported", "when_required"] = Field(
        default="when_supported",
        description="Whether uploads carry the newer checksums; `when_required` for stores that refuse them.",
    )

    @field_validator("secret_access_key")
    @classmethod
    def _both_keys(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        return both_keys(value, info)

    @field_validator("external_id")
    @classmethod
    def _for_a_role(cls, value: str | None, info: ValidationInfo) -> str | None:
        needs(value, info, "role_arn")
        return value

    @field_validator("kms_key_id")
    @classmethod
    def _for_kms(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "sse" in info.data and info.data["sse"] != "aws:kms":
            raise ValueError("has an effect only with `sse: aws:kms` — write `sse: aws:kms`, or remove `kms_key_id`")
        return value


class SftpDestination(_Destination):
    """A folder on an sFTP server."""

    type: Literal["sftp"] = Field(description="A folder on an sFTP server.")
    host: Host = Field(description="Host name or address.", examples=["sftp.partner.example"])
    port: Port = Field(default=22, description="TCP port.")
    username: Line = Field(description="Account on the server.", examples=["acme"])
    password: Secret | None = Field(
        default=None,
        description="Password, by reference. This, `private_key` or both are required.",
        examples=[{"env": "PARTNER_SFTP_PASSWORD"}],
    )
    private_key: Secret | None = Field(
        default=None,
        description="Private key (its text in OpenSSH or PEM form), by reference.",
        examples=[{"env": "PARTNER_SFTP_KEY"}],
        validate_default=True,
    )
    passphrase: Secret | None = Field(
        default=None, description="Passphrase of the private key, by reference.", examples=[{"env": "PARTNER_SFTP_PASSPHRASE"}]
    )
    host_key: Annotated[str, AfterValidator(forms.host_key)] | None = Field(
        default=None,
        description="The server's public host key. Either this or `known_hosts` is required: a host is never trusted on first use.",
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"],
    )
    known_hosts: Line | None = Field(
        default=None,
        description="File of known host keys, in place of `host_key`; relative to the project, or absolute.",
        examples=["secrets/known_hosts"],
        validate_default=True,
    )
    root: Root = Field(default="/", description="Everything is delivered below this folder; it must exist.", examples=["/incoming"])

    @field_validator("private_key")
    @classmethod
    def _some_credential(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        if value is None and "password" in info.data and info.data["password"] is None:
            raise ValueError("and `password` are both missing — add `password: {env: NAME}` or `private_key: {env: NAME}`")
        return value

    @field_validator("passphrase")
    @classmethod
    def _for_a_key(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        needs(value, info, "private_key")
        return value

    @field_validator("known_hosts")
    @classmethod
    def _some_host_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "host_key" not in info.data:
            return value
        if value is None and info.data["host_key"] is None:
            raise ValueError("and `host_key` are both missing — add `host_key: ssh-ed25519 AAAA...` as the server's operator tells you")
        if value is not None and info.data["host_key"] is not None:
            raise ValueError("and `host_key` are both given — keep the one that is to be trusted")
        return value


class FtpDestination(_Destination):
    """A folder on an FTP server, with or without TLS."""

    type: Literal["ftp"] = Field(description="A folder on an FTP server, with or without TLS.")
    host: Host = Field(description="Host name or address.", examples=["ftp.partner.example"])
    port: Port | None = Field(default=None, description="TCP port; 21, or 990 with implicit TLS, unless given.", examples=[2121])
    username: Line = Field(description="Account on the server.", examples=["acme"])
    password: Secret = Field(description="Password, by reference.", examples=[{"env": "PARTNER_FTP_PASSWORD"}])
    tls: Literal["explicit", "implicit", "none"] = Field(
        default="explicit",
        description="`explicit` upgrades the connection, `implicit` begins with TLS, `none` sends password and data in the clear.",
    )
    ca_file: Line | None = Field(
        default=None,
        description="Certificate authority to trust, for servers with a private one; relative to the project, or absolute.",
        examples=["secrets/partner_ca.pem"],
    )
    root: Root = Field(default="/", description="Everything is delivered below this folder; it must exist.", examples=["/incoming"])

    @field_validator("ca_file")
    @classmethod
    def _for_tls(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("tls") == "none":
            raise ValueError("has no effect with `tls: none` — remove it, or write `tls: explicit`")
        return value


Destination = Annotated[LocalDestination | S3Destination | SftpDestination | FtpDestination, Field(discriminator="type")]
