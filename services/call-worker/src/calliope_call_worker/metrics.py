"""What a worker counts of its calls' turns."""

from typing import Final

from calliope.observability import metrics
from calliope_call_worker.reply import Usage

_REQUESTS: Final = metrics.counter(
    "calliope_llm_requests_total", "Requests to language models by what became of them.", "outcome"
)
_TOKENS: Final = metrics.counter(
    "calliope_llm_tokens_total", "Tokens of language models, estimated where nobody told them.", "direction", "outcome"
)


def count_llm(usage: Usage) -> None:
    """Count the requests and tokens of one turn, with those thrown away for it."""
    _REQUESTS.labels("answered").inc(usage.llm_requests)
    _REQUESTS.labels("discarded").inc(usage.discarded_requests)
    _TOKENS.labels("input", "answered").inc(usage.input_tokens or 0)
    _TOKENS.labels("output", "answered").inc(usage.output_tokens or 0)
    _TOKENS.labels("input", "discarded").inc(usage.discarded_input_tokens)
    _TOKENS.labels("output", "discarded").inc(usage.discarded_output_tokens)
