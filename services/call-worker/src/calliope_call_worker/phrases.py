"""What the assistant says when the document does not say what, by language: one place, so that one can be added. Pure.

A language is a row of `_PHRASES`; carriers' own voices are chosen in `providers/telephony/languages.py`.
"""

from dataclasses import dataclass, replace
from typing import Final

from calliope.contracts.carriers import LAST_RESORT
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.providers.telephony.base import CarrierLine
from calliope_call_worker.providers.telephony.languages import locale_of

ENGLISH: Final = "en"


@dataclass(frozen=True, slots=True)
class Phrases:
    """The fixed lines of one language, or of one assistant."""

    idle: str
    ask_to_repeat: str
    please_wait: str
    goodbye: str
    idle_goodbye: str
    time_limit_goodbye: str
    transfer: str
    apology: str
    final_apology: str
    last_resort: str
    transfer_failed: str

    def goodbye_for(self, reason: str) -> str:
        """The goodbye that belongs to an end reason."""
        own = {
            "idle": self.idle_goodbye,
            "max_duration": self.time_limit_goodbye,
            "provider_failed": self.final_apology,
        }
        return own.get(reason, self.goodbye)


_PHRASES: Final = {
    "en": Phrases(
        idle="Are you still there?",
        ask_to_repeat="Sorry, I missed that. Could you say it again?",
        please_wait="One moment, please.",
        goodbye="Thank you for calling. Goodbye.",
        idle_goodbye="I cannot hear you, so I will hang up now. Goodbye.",
        time_limit_goodbye="We have reached the longest time a call may take. Goodbye.",
        transfer="One moment please, I am connecting you.",
        apology="I am sorry, I have a technical problem. Please say that again.",
        final_apology="I am sorry, we have a technical problem. Please call again later. Goodbye.",
        last_resort=LAST_RESORT["en"],
        transfer_failed="We are sorry, nobody could take your call. Please call again later.",
    ),
    "es": Phrases(
        idle="¿Sigue usted ahí?",
        ask_to_repeat="Perdone, no le he oído. ¿Puede repetirlo?",
        please_wait="Un momento, por favor.",
        goodbye="Gracias por llamar. Adiós.",
        idle_goodbye="No le oigo, así que voy a colgar. Adiós.",
        time_limit_goodbye="Hemos llegado a la duración máxima de una llamada. Adiós.",
        transfer="Un momento, por favor, le paso la llamada.",
        apology="Lo siento, tengo un problema técnico. Por favor, repítalo.",
        final_apology="Lo siento, tenemos un problema técnico. Por favor, llame más tarde. Adiós.",
        last_resort=LAST_RESORT["es"],
        transfer_failed="Lo sentimos, nadie ha podido atender su llamada. Por favor, llame más tarde.",
    ),
    "fr": Phrases(
        idle="Êtes-vous toujours là ?",
        ask_to_repeat="Pardon, je n'ai pas entendu. Pouvez-vous répéter ?",
        please_wait="Un instant, s'il vous plaît.",
        goodbye="Merci de votre appel. Au revoir.",
        idle_goodbye="Je ne vous entends pas, je vais donc raccrocher. Au revoir.",
        time_limit_goodbye="Nous avons atteint la durée maximale d'un appel. Au revoir.",
        transfer="Un instant, s'il vous plaît, je vous mets en relation.",
        apology="Je suis désolé, j'ai un problème technique. Pouvez-vous répéter, s'il vous plaît ?",
        final_apology="Je suis désolé, nous avons un problème technique. Veuillez rappeler plus tard. Au revoir.",
        last_resort=LAST_RESORT["fr"],
        transfer_failed="Nous sommes désolés, personne n'a pu prendre votre appel. Veuillez rappeler plus tard.",
    ),
    "de": Phrases(
        idle="Sind Sie noch da?",
        ask_to_repeat="Entschuldigung, das habe ich nicht gehört. Können Sie es bitte wiederholen?",
        please_wait="Einen Moment, bitte.",
        goodbye="Vielen Dank für Ihren Anruf. Auf Wiederhören.",
        idle_goodbye="Ich höre Sie nicht und lege deshalb jetzt auf. Auf Wiederhören.",
        time_limit_goodbye="Die längste Dauer eines Anrufs ist erreicht. Auf Wiederhören.",
        transfer="Einen Moment bitte, ich verbinde Sie.",
        apology="Es tut mir leid, ich habe ein technisches Problem. Bitte sagen Sie das noch einmal.",
        final_apology="Es tut mir leid, wir haben ein technisches Problem. Bitte rufen Sie später noch einmal an. "
        "Auf Wiederhören.",
        last_resort=LAST_RESORT["de"],
        transfer_failed="Es tut uns leid, niemand konnte Ihren Anruf annehmen. Bitte rufen Sie später noch einmal an.",
    ),
    "pt": Phrases(
        idle="Ainda está na linha?",
        ask_to_repeat="Desculpe, não ouvi. Pode repetir, por favor?",
        please_wait="Um momento, por favor.",
        goodbye="Obrigado pela ligação. Até logo.",
        idle_goodbye="Não consigo ouvir, por isso vou desligar agora. Até logo.",
        time_limit_goodbye="Chegamos à duração máxima de uma ligação. Até logo.",
        transfer="Um momento, por favor, vou transferir a ligação.",
        apology="Desculpe, tenho um problema técnico. Por favor, repita.",
        final_apology="Desculpe, temos um problema técnico. Por favor, ligue mais tarde. Até logo.",
        last_resort=LAST_RESORT["pt"],
        transfer_failed="Pedimos desculpa, ninguém conseguiu atender. Por favor, ligue mais tarde.",
    ),
    "it": Phrases(
        idle="È ancora in linea?",
        ask_to_repeat="Mi scusi, non ho sentito. Può ripetere?",
        please_wait="Un momento, per favore.",
        goodbye="Grazie per la chiamata. Arrivederci.",
        idle_goodbye="Non la sento, quindi ora chiudo la chiamata. Arrivederci.",
        time_limit_goodbye="Abbiamo raggiunto la durata massima di una chiamata. Arrivederci.",
        transfer="Un momento, per favore, la metto in comunicazione.",
        apology="Mi dispiace, ho un problema tecnico. Per favore, lo ripeta.",
        final_apology="Mi dispiace, abbiamo un problema tecnico. Per favore, richiami più tardi. Arrivederci.",
        last_resort=LAST_RESORT["it"],
        transfer_failed="Ci dispiace, nessuno ha potuto rispondere. Per favore, richiami più tardi.",
    ),
    "nl": Phrases(
        idle="Bent u er nog?",
        ask_to_repeat="Sorry, dat heb ik niet gehoord. Kunt u het herhalen?",
        please_wait="Een ogenblik alstublieft.",
        goodbye="Bedankt voor uw telefoontje. Tot ziens.",
        idle_goodbye="Ik hoor u niet, dus ik hang nu op. Tot ziens.",
        time_limit_goodbye="We hebben de maximale duur van een gesprek bereikt. Tot ziens.",
        transfer="Een ogenblik alstublieft, ik verbind u door.",
        apology="Het spijt me, ik heb een technisch probleem. Wilt u dat herhalen, alstublieft?",
        final_apology="Het spijt me, we hebben een technisch probleem. Belt u later nog eens, alstublieft. Tot ziens.",
        last_resort=LAST_RESORT["nl"],
        transfer_failed="Het spijt ons, niemand kon uw gesprek aannemen. Belt u later nog eens, alstublieft.",
    ),
    "pl": Phrases(
        idle="Czy nadal jest ktoś na linii?",
        ask_to_repeat="Przepraszam, to mi umknęło. Proszę powtórzyć.",
        please_wait="Chwileczkę.",
        goodbye="Dziękuję za telefon. Do widzenia.",
        idle_goodbye="Nic nie słyszę, więc teraz się rozłączę. Do widzenia.",
        time_limit_goodbye="Osiągnęliśmy maksymalny czas rozmowy. Do widzenia.",
        transfer="Chwileczkę, już łączę.",
        apology="Przepraszam, mam problem techniczny. Proszę powtórzyć.",
        final_apology="Przepraszam, mamy problem techniczny. Proszę zadzwonić później. Do widzenia.",
        last_resort=LAST_RESORT["pl"],
        transfer_failed="Przepraszamy, nikt nie mógł odebrać. Proszę zadzwonić później.",
    ),
    "ja": Phrases(
        idle="もしもし、聞こえていますか。",
        ask_to_repeat="申し訳ございません、聞き取れませんでした。もう一度おっしゃっていただけますか。",
        please_wait="少々お待ちください。",
        goodbye="お電話ありがとうございました。失礼いたします。",
        idle_goodbye="お声が聞こえないため、電話を切らせていただきます。失礼いたします。",
        time_limit_goodbye="通話時間の上限に達しました。失礼いたします。",
        transfer="少々お待ちください。おつなぎいたします。",
        apology="申し訳ございません。技術的な問題が発生しました。もう一度おっしゃってください。",
        final_apology="申し訳ございません。技術的な問題が発生しました。後ほどおかけ直しください。失礼いたします。",
        last_resort=LAST_RESORT["ja"],
        transfer_failed="申し訳ございません。ただいま電話に出られる者がおりません。後ほどおかけ直しください。",
    ),
}
LANGUAGES: Final = tuple(_PHRASES)


def language_of(tag: str) -> str:
    """The language of the lines for a recogniser's tag: `es` for `es-MX`; English where it is `multi` or not here."""
    language = tag.partition("-")[0].lower()
    return language if language in _PHRASES else ENGLISH


def phrases_of(spec: AssistantSpec) -> Phrases:
    """The lines of an assistant: its own, and for those it has not, the language's."""
    own = {name: text for name, text in spec.messages.model_dump().items() if text}
    if spec.idle_message:
        own["idle"] = spec.idle_message
    if spec.tools_settings.transfer_call.custom_message:
        own["transfer"] = spec.tools_settings.transfer_call.custom_message
    return replace(_PHRASES[language_of(spec.stt_settings.language)], **own)


def last_resort(spec: AssistantSpec, installations: str | None) -> CarrierLine:
    """What the carrier's voice says when none of ours can; `installations` line stands in for the language's."""
    return _carrier_line(spec, spec.messages.last_resort or installations, phrases_of(spec).last_resort)


def last_resort_locale(spec: AssistantSpec) -> str:
    """The carrier's voice for the line of the language, whatever the assistant's own words are."""
    return _carrier_line(spec, None, phrases_of(spec).last_resort).language


def transfer_failed(spec: AssistantSpec, installations: str | None) -> CarrierLine:
    """What it says when nobody took a transferred call."""
    return _carrier_line(spec, spec.messages.transfer_failed or installations, phrases_of(spec).transfer_failed)


def _carrier_line(spec: AssistantSpec, own: str | None, ours: str) -> CarrierLine:
    """Words of a developer or operator are in the assistant's language, even where ours are English instead."""
    tag = spec.stt_settings.language
    if own:
        return CarrierLine(own, locale_of(tag))
    return CarrierLine(ours, locale_of(tag) if language_of(tag) == tag.partition("-")[0].lower() else locale_of("en"))
