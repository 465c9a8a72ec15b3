"""Asks for a recogniser: a stream with what a call would ask for is opened, hears nothing, and is closed."""

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.probe import Findings, good, refused
from calliope_call_worker.providers.stt.base import SpeechToText, SttOptions


async def check_recogniser(stt: SpeechToText, options: SttOptions) -> Findings:
    """What the handshake proves; a vendor whose socket opens for any key or model needs another.

    Raises: ProviderError, when the vendor could not be asked.
    """
    try:
        async with stt.open(options):
            pass
    except ProviderError as exc:
        return refused(exc, CheckedPart.MODEL)
    return good(CheckedPart.KEY, CheckedPart.MODEL)
