"""docker-compose.yaml names things that exist; no container engine runs here, so its shape is all that is held."""

from pathlib import Path

import pytest
import yaml

from recflow.config.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def compose():
    return yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text(encoding="utf-8"))


def test_every_service_that_is_waited_for_exists_and_can_be_ready(compose):
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], needed


def test_every_setting_in_the_environment_is_one_that_recflow_reads(compose):
    known = {f"RECFLOW_{field.upper()}" for field in Settings.model_fields}
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    named = {name for environment in environments for name in environment if name.startswith("RECFLOW_")}
    assert {"RECFLOW_HOME", "RECFLOW_GATEWAY_KEYS_FILE"} <= named <= known


def test_secrets_come_from_the_environment_and_have_no_default(compose):
    text = (REPOSITORY / "docker-compose.yaml").read_text(encoding="utf-8")
    for secret in ("POSTGRES_PASSWORD", "AIRFLOW_JWT_SECRET", "RECFLOW_GATEWAY_KEYS_FILE"):
        assert f"${{{secret}:?" in text


def test_the_gateway_alone_is_given_the_keys_that_it_signs_by_as_a_file(compose):
    [holder] = [name for name, service in compose["services"].items() if "secrets" in service]
    gateway = compose["services"][holder]
    [secret] = gateway["secrets"]
    assert holder == "gateway"
    assert gateway["environment"]["RECFLOW_GATEWAY_KEYS_FILE"] == f"/run/secrets/{secret}"
    assert list(compose["secrets"][secret]) == ["file"]


def test_nothing_listens_beyond_loopback(compose):
    environment = compose["x-recflow"]["environment"]
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["RECFLOW_GATEWAY_URL"].startswith("http://127.0.0.1:")
    assert "listen_addresses=127.0.0.1" in compose["services"]["postgres"]["command"]


def test_every_service_of_ours_sees_the_processes_of_the_others(compose):
    ours = [service for service in compose["services"].values() if service["image"] == "recflow:local"]
    assert len(ours) > 1
    assert all(service["pid"] == "host" for service in ours)
