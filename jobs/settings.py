"""Every setting, read from `TRAINING_RESET_<NAME>` and checked once.

Times are in seconds. Their order matters more than their values (see `docs/settings.md`): a statement times
out before its chunk does, a chunk before its worker's lease, and a message becomes visible again long after.
"""

import re
from email.utils import parseaddr
from pathlib import Path
from typing import Self

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.signing import read_secrets
from jobs.zones import find_zone

_BROKER_URL = re.compile(r"rediss?://([^@/]*@)?([^:@/?#]*|\[[^]]*\])(:\d{1,5})?(/\d*)?(\?.*)?$|redis\+socket:///.+")

_SMTP_URL = re.compile(r"smtps?://([^@/:?#\s]+:[^@/?#\s]*@)?([^@:/?#\s]+|\[[^]\s]+\])(:\d{1,5})?/?$")


class Settings(BaseSettings):
    """The settings of one process; the environment gives what the caller does not."""

    model_config = SettingsConfigDict(
        env_prefix="TRAINING_RESET_", env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    home: Path = Field(default_factory=lambda: user_data_path("training-reset"))
    database_url: str | None = None
    broker_url: str | None = None
    actor: str | None = None
    timezone: str = "UTC"

    window: int = Field(default=16, ge=1)
    chunk_size_start: int = Field(default=500, ge=1)
    chunk_size_max: int = Field(default=10_000, ge=1)
    chunk_seconds: float = Field(default=0.5, gt=0)
    gentle_share: float = Field(default=0.02, gt=0, le=1)

    lease_seconds: float = Field(default=30, gt=0)
    heartbeat_seconds: float = Field(default=5, gt=0)
    leader_lease_seconds: float = Field(default=10, gt=0)
    housekeeping_seconds: float = Field(default=1, gt=0)
    schedule_grace_seconds: float = Field(default=60, gt=0)
    dispatch_timeout_seconds: float = Field(default=30, gt=0)
    chunk_deadline_seconds: float = Field(default=60, gt=0)
    chunk_hard_limit_seconds: int = Field(default=50, ge=1)
    statement_timeout_seconds: float = Field(default=20, gt=0)
    database_busy_seconds: float = Field(default=30, gt=0)

    strain_lock_waits: int = Field(default=3, ge=1)
    strain_active_sessions: int = Field(default=100, ge=1)
    strain_replication_lag_seconds: float = Field(default=30, gt=0)
    strain_slowdown: float = Field(default=4, gt=0)
    strain_worsens_seconds: float = Field(default=3, gt=0)
    strain_calm_seconds: float = Field(default=10, gt=0)

    broker_visibility_seconds: int = Field(default=900, ge=1)
    broker_socket_seconds: float = Field(default=30, gt=0)
    broker_connect_seconds: float = Field(default=5, gt=0)
    shutdown_seconds: float = Field(default=20, gt=0)
    worker_max_tasks_per_child: int = Field(default=1000, ge=1)
    worker_max_memory_kib: int = Field(default=400_000, ge=1)

    result_secret: SecretStr | None = None
    result_timeout_seconds: float = Field(default=15, gt=0)
    result_retry_seconds: float = Field(default=10, gt=0)
    result_retry_max_seconds: float = Field(default=3600, gt=0)
    result_tries: int = Field(default=80, ge=1)
    smtp_url: SecretStr | None = None
    mail_from: str | None = None

    @property
    def database(self) -> str:
        """The URL of the database: the one given, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'training-reset.sqlite3'}"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return find_zone(name).key

    @field_validator("broker_url")
    @classmethod
    def _redis_or_valkey(cls, url: str | None) -> str | None:
        if url and not _BROKER_URL.match(url):
            raise ValueError("give redis://HOST:PORT/NUMBER, rediss:// of the same form or redis+socket:///PATH")
        return url

    @field_validator("result_secret")
    @classmethod
    def _standard_webhooks_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret:
            read_secrets(secret.get_secret_value())
        return secret

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not _SMTP_URL.match(url.get_secret_value()):
            raise ValueError("give smtp://USER:PASSWORD@HOST:PORT or smtps:// of the same form, %-encoded")
        return url

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, sender: str | None) -> str | None:
        if sender and not (sender.isprintable() and "@" in parseaddr(sender)[1]):
            raise ValueError("give a mail address, such as reset@example.org")
        return sender

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> Self:
        if self.smtp_url and not self.mail_from:
            raise ValueError("smtp_url is given and mail_from is not; set both")
        return self

    @model_validator(mode="after")
    def _order_of_times(self) -> Self:
        if self.heartbeat_seconds >= self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds is {self.heartbeat_seconds:g}, not below lease_seconds {self.lease_seconds:g}"
            )
        if not (self.statement_timeout_seconds < self.chunk_hard_limit_seconds < self.chunk_deadline_seconds):
            raise ValueError(
                "the order must be statement_timeout_seconds < chunk_hard_limit_seconds < chunk_deadline_seconds"
            )
        if self.broker_visibility_seconds <= self.chunk_deadline_seconds:
            raise ValueError(
                f"broker_visibility_seconds is {self.broker_visibility_seconds}, "
                f"not above chunk_deadline_seconds {self.chunk_deadline_seconds:g}"
            )
        return self
