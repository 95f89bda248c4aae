"""Destinations: where files go."""

from typing import Annotated, Literal

from pydantic import Field

from flow_assets.spec.model import Name, Secret, Strict


class _Destination(Strict):
    name: Name = Field(exclude=True, description="The file's stem.")


class LocalDestination(_Destination):
    """A folder on this machine."""

    type: Literal["local"]
    root: str = Field(description="The folder; relative to the project, or absolute. Created if missing.", examples=["delivered"], min_length=1)


class S3Destination(_Destination):
    """A bucket of Amazon S3 or of any store with its API."""

    type: Literal["s3"]
    bucket: str = Field(description="The bucket; it must exist.", min_length=1)
    prefix: str = Field(default="", description="Everything is delivered below this prefix.", examples=["incoming/acme"])
    region: str | None = Field(default=None, description="AWS region.", examples=["eu-west-1"])
    endpoint_url: str | None = Field(default=None, description="Address of an S3-compatible store other than AWS.", examples=["https://s3.example.com"])
    access_key_id: Secret | None = Field(default=None, description="Access key, by reference. Without it, credentials are found the usual way.")
    secret_access_key: Secret | None = Field(default=None, description="Secret key, by reference.")
    role_arn: str | None = Field(default=None, description="Role to assume.", examples=["arn:aws:iam::123456789012:role/flows"])
    external_id: str | None = Field(default=None, description="External id to assume the role with.")
    sse: Literal["AES256", "aws:kms"] | None = Field(default=None, description="Server-side encryption.")
    kms_key_id: str | None = Field(default=None, description="KMS key, with `sse: aws:kms`.")
    checksum: Literal["when_supported", "when_required"] = Field(
        default="when_supported",
        description="Whether uploads carry the newer checksums; `when_required` for stores that refuse them.",
    )


class SftpDestination(_Destination):
    """A folder on an sFTP server."""

    type: Literal["sftp"]
    host: str = Field(description="Host name or address.", examples=["sftp.partner.example"], min_length=1)
    port: int = Field(default=22, ge=1, le=65535, description="TCP port.")
    username: str = Field(description="Account on the server.", min_length=1)
    password: Secret | None = Field(default=None, description="Password, by reference.")
    private_key: Secret | None = Field(default=None, description="Private key (its text in OpenSSH or PEM form), by reference.")
    passphrase: Secret | None = Field(default=None, description="Passphrase of the private key, by reference.")
    host_key: str | None = Field(default=None, description="The server's public host key.", examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."])
    known_hosts: str | None = Field(default=None, description="File of known host keys instead; relative to the project, or absolute.")
    root: str = Field(default="/", description="Everything is delivered below this folder; it must exist.", examples=["/incoming"])


class FtpDestination(_Destination):
    """A folder on an FTP server, with or without TLS."""

    type: Literal["ftp"]
    host: str = Field(description="Host name or address.", min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535, description="TCP port; 21, or 990 with implicit TLS.")
    username: str = Field(description="Account on the server.", min_length=1)
    password: Secret = Field(description="Password, by reference.")
    tls: Literal["explicit", "implicit", "none"] = Field(default="explicit", description="`explicit` upgrades the connection, `implicit` begins with TLS, `none` sends the password in the clear.")
    ca_file: str | None = Field(default=None, description="Certificate authority to trust, for servers with a private one; relative to the project, or absolute.")
    root: str = Field(default="/", description="Everything is delivered below this folder; it must exist.")


Destination = Annotated[LocalDestination | S3Destination | SftpDestination | FtpDestination, Field(discriminator="type")]
