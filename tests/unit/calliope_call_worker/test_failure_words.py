"""Why providers fail: one vocabulary in the call-worker and in the filters of call records."""

from calliope.contracts.call_records import REASONS
from calliope_call_worker.providers.errors import Failure, ProviderError


def test_the_filter_knows_every_reason_that_is_told() -> None:
    assert {ProviderError("openai", failure, "").reason for failure in Failure} == set(REASONS)
