"""Looks at the settings in the environment: the checks of all services, for those variables that are set here."""

from collections.abc import Mapping
from typing import Final

from pydantic import ConfigDict, SecretStr

from calliope.configuration.loading import SettingsRefused, load
from calliope.configuration.variables import PREFIX
from calliope.secrets import public_key_of
from calliope.settings import EgressSettings, Environment, Part, ServiceSettings
from calliope_admin.doctor.findings import About, Finding, unknown, well, wrong

_PRIVATE: Final = "CALLIOPE_SEALING__PRIVATE_KEYS"
_USER: Final = ("CALLIOPE_NATS__USER", "CALLIOPE_NATS__PASSWORD")


class SealingKeys(Part):
    """Both halves, of which a service has one."""

    model_config = ConfigDict(extra="ignore")

    calls_public_key: str = ""
    webhooks_public_key: str = ""
    private_keys: tuple[SecretStr, ...] = ()


class MediaAddress(Part):
    """Where carriers connect for audio."""

    model_config = ConfigDict(extra="ignore")

    public_url: str | None = None


class Installation(ServiceSettings):
    """What any service may have set and the checks look at."""

    public_url: str | None = None
    media: MediaAddress = MediaAddress()
    sealing: SealingKeys = SealingKeys()
    egress: EgressSettings = EgressSettings()
    bootstrap_api_key: SecretStr | None = None


def settings_findings(environment: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the variables of this process; those that are not set belong to services elsewhere."""
    given = {name for name, value in environment.items() if name.startswith(PREFIX) and value}
    if not given:
        words = "No setting is in this environment; start the doctor with a service's to have them looked at."
        return [unknown(About.SETTINGS, words)]
    production = environment.get("CALLIOPE_ENVIRONMENT") == Environment.PRODUCTION
    try:
        found = _unmatched(load(Installation).sealing)
    except SettingsRefused as exc:
        relevant = given.union(_USER) if production else given
        found = [f"{each}." for each in exc.problems if each.variable in relevant]
    if found:
        return [wrong(About.SETTINGS, each, "correct it, and start its services anew") for each in found]
    kind = Environment.PRODUCTION if production else Environment.LOCAL
    return [
        well(About.SETTINGS, f"The {len(given)} variables of this environment are fit for CALLIOPE_ENVIRONMENT={kind}.")
    ]


def _unmatched(keys: SealingKeys) -> list[str]:
    """Where both halves are in sight, whether one belongs to the other."""
    public = {key for key in (keys.calls_public_key, keys.webhooks_public_key) if key}
    private = {public_key_of(key.get_secret_value()) for key in keys.private_keys}
    if not public or not private or public & private:
        return []
    return [f"{_PRIVATE} has the private half of neither public key: what is sealed to them cannot be opened."]
