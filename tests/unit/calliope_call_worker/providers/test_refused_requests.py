"""What a vendor says when it refuses is read, whatever its shape: its class, its words, and never a secret."""

from typing import Any

import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm import anthropic_answer, chat_answer, gemini_answer
from calliope_call_worker.providers.llm.refusals import without_secrets

WORDS = "Temperatures above 1 are too hot."
READERS = [chat_answer.refusal, anthropic_answer.refusal, gemini_answer.refusal]
every_reader = pytest.mark.parametrize("refusal", READERS, ids=lambda reader: reader.__module__.rpartition(".")[2])


@every_reader
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": WORDS}},
        {"error": WORDS},
        {"code": "Client specified an invalid argument", "error": WORDS},
        [{"error": {"message": WORDS}}],
        {"error": [{"message": WORDS}]},
        {"errors": [{"detail": WORDS}]},
        {"detail": WORDS},
        {"detail": [{"loc": ["body", "temperature"], "msg": WORDS, "type": "value_error"}]},
        {"message": WORDS, "type": "BadRequestError", "code": 400},
        {"object": "error", "message": {"detail": WORDS}},
        {"error": {"error": {"message": WORDS}}},
        WORDS,
    ],
)
def test_words_stand_in_the_detail_wherever_they_are(refusal: Any, body: Any) -> None:
    error = refusal("x", 400, body, None)
    assert error.failure is Failure.REQUEST
    assert error.detail.startswith("400")
    assert error.detail.endswith(WORDS)


@every_reader
@pytest.mark.parametrize("body", [None, {}, [], {"error": None}, {"error": 7}, {"error": {"message": ["x"]}}, 3, ""])
def test_an_error_without_words_has_the_class_of_its_status(refusal: Any, body: Any) -> None:
    assert refusal("x", 400, body, None).failure is Failure.REQUEST
    assert refusal("x", 401, body, None).failure is Failure.KEY
    assert refusal("x", 404, body, None).failure is Failure.REFUSED
    assert refusal("x", 503, body, None).failure is Failure.ERROR


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"code": "A sentence.", "error": "Incorrect API key provided: xa***9z."}, Failure.KEY),
        (400, {"detail": "Invalid API key"}, Failure.KEY),
        (404, {"code": "A sentence.", "error": "The model grok-9 does not exist."}, Failure.REFUSED),
        (400, {"error": {"message": "llama-9 is not a valid model ID"}}, Failure.REFUSED),
        (
            400,
            {"error": {"message": "The model `m` has been decommissioned", "code": "model_decommissioned"}},
            Failure.REFUSED,
        ),
        (403, {"error": "Your team has used all available credits."}, Failure.QUOTA),
        (400, {"error": {"message": "Please reduce the length of the messages."}}, Failure.TOO_LONG),
        (400, {"error": {"message": "m", "code": "context_length_exceeded"}}, Failure.TOO_LONG),
        (413, {"detail": "m"}, Failure.TOO_LONG),
        (400, {"error": {"code": "tool_use_failed", "failed_generation": "<function=x>"}}, Failure.BAD_CALL),
        (422, {"message": "Failed to call a function."}, Failure.BAD_CALL),
        (400, {"error": {"code": "content_filter", "message": "m"}}, Failure.DECLINED),
        (403, {"error": "Content violates usage guidelines."}, Failure.DECLINED),
        (429, {"error": {"message": "Too many requests for this model"}}, Failure.RATE_LIMITED),
        (400, {"error": {"message": "messages[2].content: expected a string"}}, Failure.REQUEST),
        (422, {"detail": [{"loc": ["body", "tools"], "msg": "Field required"}]}, Failure.REQUEST),
    ],
)
def test_a_refusal_is_read_for_what_it_says(status: int, body: Any, failure: Failure) -> None:
    assert chat_answer.refusal("x", status, body, None).failure is failure


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"code": "tool_use_failed", "type": "invalid_request_error"}, Failure.BAD_CALL),
        ({"code": "context_length_exceeded"}, Failure.TOO_LONG),
        ({"type": "invalid_request_error", "message": "m"}, Failure.REQUEST),
        ({"code": 400, "message": "m"}, Failure.REQUEST),
        ("the model wrote a failed_generation", Failure.BAD_CALL),
    ],
)
def test_so_is_one_inside_a_stream(error: Any, failure: Failure) -> None:
    assert chat_answer.stream_error("x", error).failure is failure


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("Incorrect API key provided: xai-ab12", "Incorrect API key provided: (hidden)"),
        ("Incorrect API key provided: my***key.", "Incorrect API key provided: (hidden)"),
        ("token eyJ0eXAiOiJKV1QiLCJhbGciOi1 expired", "token (hidden) expired"),
        ("Bearer abc is wrong", "(hidden) is wrong"),
        ("see https://u:p@host/?key=1 for more", "see (hidden) for more"),
        ("The model grok-9 does not exist.", "The model grok-9 does not exist."),
    ],
)
def test_secrets_whole_or_masked_are_hidden(words: str, left: str) -> None:
    assert without_secrets(words) == left


def test_what_was_said_in_a_call_is_not_quoted() -> None:
    body = {"error": {"code": "content_filter", "message": "The words 'my secret' are flagged"}}
    assert "secret" not in chat_answer.refusal("x", 400, body, None).detail


def test_a_record_tells_the_class_in_the_words_that_it_has() -> None:
    known = {"refused", "declined", "key", "quota", "rate_limited", "deadline", "dropped", "error", "malformed"}
    assert {ProviderError("x", failure, "").reason for failure in Failure} == known
    assert ProviderError("x", Failure.TOO_LONG, "").reason == "refused"
