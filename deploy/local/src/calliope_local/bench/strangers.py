"""Strangers beside the calls of the bench: hooks that nobody signed, so many a second, given to the workers."""

import argparse
import asyncio
import base64
import json
import sys
import time
from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

from calliope.contracts.subjects import Command
from calliope.messaging.broker import build_broker, start, stop
from calliope.settings import NatsSettings

TICK_S: Final = 0.01
LAST_ANSWERS_S: Final = 1.0


async def knock(nats_url: str, number: str, account_sid: str, *, per_s: int, seconds: float) -> Counter[str]:
    """Ask about a new call to the number, again and again, with a wrong signature; answers by HTTP status."""
    answers: Counter[str] = Counter()

    async def count(message: Any) -> None:
        answer = json.loads(message.data)
        answers[str((answer.get("ok") or {}).get("status") or answer["error"]["code"])] += 1

    bus = build_broker(NatsSettings(url=nats_url), "gateway", telemetry=False)
    await start(bus)
    requests = bus.connection
    try:
        inbox = requests.new_inbox()
        await requests.subscribe(inbox, cb=count)
        began, sent = time.monotonic(), 0
        while (passed_s := time.monotonic() - began) < seconds:
            while sent < passed_s * per_s:
                await requests.publish(Command.CALLS_ACCEPT, _hook(number, account_sid, sent), reply=inbox)
                sent += 1
            await asyncio.sleep(TICK_S)
        answers["sent"] = sent
        await asyncio.sleep(LAST_ANSWERS_S)
    finally:
        await stop(bus)
    return answers


def _hook(number: str, account_sid: str, call: int) -> bytes:
    form = {"CallSid": f"CA{call:032x}", "AccountSid": account_sid, "From": "+15550009999", "To": number}
    request: dict[str, Any] = {
        "carrier": "twilio",
        "method": "POST",
        "path_and_query": "/telephony/twilio/voice",
        "headers": [["X-Twilio-Signature", base64.b64encode(bytes(20)).decode()]],
        "body": base64.b64encode(urlencode(form).encode()).decode(),
    }
    return json.dumps({"organization": None, "command_id": None, "payload": request}).encode()


def main(arguments: list[str]) -> int:
    """Exit status 0; the answers on one line."""
    parser = argparse.ArgumentParser(prog="strangers", description=__doc__)
    parser.add_argument("nats_url")
    parser.add_argument("number")
    parser.add_argument("account_sid")
    parser.add_argument("per_s", type=int)
    parser.add_argument("seconds", type=float)
    chosen = parser.parse_args(arguments)
    answers = asyncio.run(
        knock(chosen.nats_url, chosen.number, chosen.account_sid, per_s=chosen.per_s, seconds=chosen.seconds)
    )
    sys.stdout.write(" ".join(f"{name}={count}" for name, count in sorted(answers.items())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
