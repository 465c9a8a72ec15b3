"""A stack whose models are a server on this machine, and whose carriers come through one public address."""

from pathlib import Path

from calliope_local.env_file import EnvFile
from calliope_local.http import quoted, request
from calliope_local.local_models import model_server
from calliope_local.outside import decide
from calliope_local.probes import free_ports
from calliope_local.stack import LocalStack
from support.chat_server import chat_server
from support.house import a_document

NUMBER = "+15550004444"
SCRIPT = [
    {"wait_for_silence_ms": 500},
    {"say": "What time is it"},
    {"wait_for": "noon"},
    {"wait_for_silence_ms": 500},
    {"hang_up": True},
]


def test_a_call_through_one_public_address_is_answered_by_the_model_on_this_machine(tmp_path: Path) -> None:
    [port] = free_ports(1)
    models = {"data": [{"id": "small:latest"}]}
    with chat_server(models, answer="The clock says noon.") as server:
        outside = decide(EnvFile(), public_url=f"http://127.0.0.1:{port}", models=model_server(server.url))
        with LocalStack(tmp_path, fixed={"proxy": port}, outside=outside) as stack:
            gateway, key = f"http://127.0.0.1:{port}", stack.keys.api_key
            document = a_document(llm_provider="anthropic", llm_provider_config={"api_key": "own", "model": "claude"})
            made = request("POST", f"{gateway}/api/v1/assistants", document, key=key)
            answers = {"assistant_id": made["id"], "carrier": "twilio"}
            request("PUT", f"{gateway}/api/v1/phone-numbers/{quoted(NUMBER)}", answers, key=key)
            sandbox = stack.address("sandbox")
            call = {"from": "+15550001111", "to": NUMBER, "script": SCRIPT}
            sid = request("POST", f"{sandbox}/sandbox/twilio/calls", call)["sid"]
            seen = request("GET", f"{sandbox}/sandbox/twilio/calls/{sid}?wait_s=40", timeout_s=45)

    assert seen["failed"] is None, seen
    assert "The clock says noon." in " ".join(word["text"] for word in seen["heard_words"])
    assert {body["model"] for body in server.asked} == {"small:latest"}
    assert f"127.0.0.1:{port}/media" in str(seen["twiml"])
