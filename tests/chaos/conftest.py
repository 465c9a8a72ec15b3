"""Stacks of their own for tests that break processes."""

from collections.abc import Iterator

import pytest

from calliope_local.stack import LocalStack

GRACE_S = "2"
LOST_AFTER_S = "8"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Two workers, which hand their calls over soon after SIGTERM, and end those that nobody takes over."""
    worker = {"CALLIOPE_SHUTDOWN_TIMEOUT_S": GRACE_S, "CALLIOPE_CALL__LOST_AFTER_S": LOST_AFTER_S}
    with LocalStack(tmp_path_factory.mktemp("stack"), extra={"worker": worker}, workers=2) as stack:
        yield stack
