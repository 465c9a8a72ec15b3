"""Results of calls as JUnit XML, as test reports of CI systems read it. Pure."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SUITE: Final = "calliope"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test: its name, what it belongs to, how long it took, and why it failed; `output` is what was seen."""

    name: str
    group: str
    seconds: float
    failures: tuple[str, ...] = ()
    output: str = ""


def document(cases: Sequence[Case]) -> bytes:
    """The report in UTF-8."""
    failed = sum(bool(case.failures) for case in cases)
    totals = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "time": _time(cases)}
    root = ET.Element("testsuites", totals)
    suite = ET.SubElement(root, "testsuite", {"name": SUITE, **totals})
    for case in cases:
        element = ET.SubElement(
            suite, "testcase", {"name": _text(case.name), "classname": _text(case.group), "time": f"{case.seconds:.3f}"}
        )
        if case.failures:
            failure = ET.SubElement(element, "failure", {"message": _text(case.failures[0])})
            failure.text = _text("\n".join(case.failures))
        if case.output:
            ET.SubElement(element, "system-out").text = _text(case.output)
    ET.indent(root)
    report: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _time(cases: Sequence[Case]) -> str:
    return f"{sum(case.seconds for case in cases):.3f}"


def _text(text: str) -> str:
    """Without characters that no XML may hold."""
    return _NOT_XML.sub("�", text)
