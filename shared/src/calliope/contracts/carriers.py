"""What carriers are answered when no worker can be asked: constant documents, the same whoever sends them. Pure."""

from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from calliope.contracts.calls import CarrierResponse

LAST_RESORT: Final = {
    "en": "We are sorry, we have a technical problem. Please call again later.",
    "es": "Lo sentimos, tenemos un problema técnico. Por favor, llame más tarde.",
    "fr": "Nous sommes désolés, nous avons un problème technique. Veuillez rappeler plus tard.",
    "de": "Es tut uns leid, wir haben ein technisches Problem. Bitte rufen Sie später noch einmal an.",
    "pt": "Pedimos desculpa, temos um problema técnico. Por favor, ligue mais tarde.",
    "it": "Ci dispiace, abbiamo un problema tecnico. Per favore, richiami più tardi.",
    "nl": "Het spijt ons, we hebben een technisch probleem. Belt u later nog eens, alstublieft.",
    "pl": "Przepraszamy, mamy problem techniczny. Proszę zadzwonić później.",
    "ja": "申し訳ございません。技術的な問題が発生しました。後ほどおかけ直しください。",
}
"""What a carrier's own voice says when no voice of ours can, by language."""
LANGUAGE: Final = "language"
"""Parameter of the address that a carrier asks when a call's media ended: the locale of its voice, such as `de-DE`."""
MEDIA_ENDED: Final = "media_ended"
"""Parameter of that address when the carrier has to ask again: when it first asked, as Unix time in ms."""
LOCALES: Final = (
    "en-US",
    "en-GB",
    "en-AU",
    "en-IN",
    "es-ES",
    "es-MX",
    "fr-FR",
    "fr-CA",
    "de-DE",
    "pt-BR",
    "pt-PT",
    "it-IT",
    "nl-NL",
    "pl-PL",
    "ja-JP",
    "da-DK",
    "ko-KR",
    "nb-NO",
    "ru-RU",
    "sv-SE",
)
"""Voices that both Twilio's `<Say>` and Telnyx's `speak` have; a language's first is used where no country is named."""
_DIGITS_OF_MS: Final = 13
"""Of Unix time in ms, from 2001 to 2286."""
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'
_ASK_AGAIN: Final = CarrierResponse(status=503, content_type="text/plain", body="no worker can answer; send it again")


def moment_of(unix_ms: str) -> datetime | None:
    """The moment that `MEDIA_ENDED` names; None for what names none."""
    if not (unix_ms.isascii() and unix_ms.isdigit() and len(unix_ms) == _DIGITS_OF_MS):
        return None
    return datetime.fromtimestamp(int(unix_ms) / 1_000, UTC)


def twiml(verbs: str) -> CarrierResponse:
    """What Twilio does, as verbs of TwiML."""
    return CarrierResponse(status=200, content_type="application/xml", body=_XML.format(verbs))


def busy(carrier: str) -> CarrierResponse:
    """A new call that nobody takes. Telnyx reads no answers: an error has it send the hook again."""
    return twiml('<Reject reason="busy"/>') if carrier == "twilio" else _ASK_AGAIN


def last_resort(carrier: str, locale: str) -> CarrierResponse:
    """A call that nobody goes on with: the carrier's own voice says so and hangs up, where an answer can make it."""
    if carrier != "twilio":
        return _ASK_AGAIN
    language = locale.partition("-")[0]
    if locale not in LOCALES or language not in LAST_RESORT:
        language, locale = "en", LOCALES[0]
    return twiml(f"<Say language={quoteattr(locale)}>{escape(LAST_RESORT[language])}</Say><Hangup/>")
