"""Every setting comes from the environment and is checked once; the order of times is kept."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.settings import Settings


def test_the_defaults_keep_their_own_rules() -> None:
    Settings()


def test_the_environment_gives_what_the_caller_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINING_RESET_HOME", str(tmp_path))
    monkeypatch.setenv("TRAINING_RESET_WINDOW", "3")
    monkeypatch.setenv("TRAINING_RESET_LEASE_SECONDS", "7.5")
    monkeypatch.setenv("TRAINING_RESET_ACTOR", "ada")
    settings = Settings(window=4)
    assert settings.home == tmp_path
    assert settings.window == 4
    assert settings.lease_seconds == 7.5
    assert settings.actor == "ada"


def test_without_a_url_the_database_lies_in_the_data_directory(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).database == f"sqlite:///{tmp_path}/training-reset.sqlite3"
    assert Settings(home=tmp_path, database_url="postgresql://h/n").database == "postgresql://h/n"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"heartbeat_seconds": 30.0}, "heartbeat_seconds is 30, not below lease_seconds 30"),
        ({"statement_timeout_seconds": 50.0}, "the order must be"),
        ({"chunk_hard_limit_seconds": 60}, "the order must be"),
        ({"chunk_deadline_seconds": 50.0}, "the order must be"),
        ({"broker_visibility_seconds": 60}, "broker_visibility_seconds is 60, not above"),
    ],
)
def test_times_out_of_order_are_refused(values: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Settings(**values)  # type: ignore[arg-type]


NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_zero_or_below_is_refused_with_its_name(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValidationError, match=name):
            Settings(**{name: value})  # type: ignore[arg-type]


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="windows"):
        Settings(windows=3)  # type: ignore[call-arg]


def test_settings_do_not_change_once_read() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.window = 5  # type: ignore[misc]
