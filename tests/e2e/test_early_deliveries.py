"""`assistant.created` may be delivered before anybody can know a secret that only the 201 shows."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from calliope_local.demo import play_and_tell
from calliope_local.http import request
from calliope_local.played_call import PlayedCall
from calliope_local.scenario import load
from calliope_local.stack import LocalStack
from support.house import WEBHOOK_SECRET, House, a_document

EXAMPLE = Path(__file__).parents[2] / "examples" / "reception.json"
ARRIVED_S = 15.0


class LateRegistration(PlayedCall):
    """As a client without a secret of its own: its receiver learns the secret after the first delivery came."""

    def register(self) -> str:
        return ""

    def create(self, secret: str) -> dict[str, Any]:
        made = super().create(secret)
        hook = f"{self.stack.address('sandbox')}/sandbox/hooks/{self.hook}"
        early = request("GET", f"{hook}?wait_for=1&timeout_s={ARRIVED_S:g}", timeout_s=ARRIVED_S + 5)
        assert [(one["body"]["type"], one["why"]) for one in early["attempts"]] == [
            ("calliope.assistant.created.v1", "no secret registered")
        ]
        request("PUT", hook, {"secrets": [made["webhook_secret"]]})
        return made

    def _webhook(self, secret: str) -> dict[str, str]:
        return {"webhook_url": super()._webhook(secret)["webhook_url"]}


def test_the_demo_is_green_when_its_receiver_learns_the_secret_late(
    stack: LocalStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "late.json"
    file.write_text(json.dumps(json.loads(EXAMPLE.read_text(encoding="utf-8")) | {"name": "Late"}), encoding="utf-8")
    played = LateRegistration(stack, load(file, stack.address("sandbox")), "+15550003900")

    assert play_and_tell(played, file) == 0

    assert "OK: one call" in capsys.readouterr().out


async def test_a_secret_of_the_clients_own_verifies_the_first_event_of_its_assistant(house: House) -> None:
    line = await house.phone_line(a_document(name=f"own secret {time.monotonic_ns()}"))

    listing = await house.sandbox("GET", f"/sandbox/hooks/{line.hook}?wait_for=1&timeout_s={ARRIVED_S:g}")

    (created,) = listing["attempts"]
    assert (created["body"]["type"], created["verified"]) == ("calliope.assistant.created.v1", True)
    assert line.assistant["webhook_secret"] == f"••••{WEBHOOK_SECRET[-4:]}"
