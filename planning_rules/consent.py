"""Documents that came with a submission, held against what a rule asks for."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from planning_rules.rule import Consent


def supplied_consents(
    attributes: Mapping[str, Any], requires: Sequence[Consent], as_of: date
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Consent, ...]]:
    """The documents that meet a requirement, and the requirements that none meets.

    A document counts when its title is the one asked for, its authority is the one asked for (if
    one is named), it can be traced (it has a number or a date), and it is not dated after the day
    of the check. Titles are compared whole.
    """
    documents = attributes.get("documents")
    given = [d for d in documents if isinstance(d, Mapping)] if isinstance(documents, list) else []
    usable = [document for document in given if _counts(document, as_of)]
    used: list[Mapping[str, Any]] = []
    missing = []
    for consent in requires:
        match = next((document for document in usable if _meets(document, consent)), None)
        if match is None:
            missing.append(consent)
        else:
            used.append({k: match.get(k) for k in ("authority", "document", "number", "date")})
    return tuple(used), tuple(missing)


def _counts(document: Mapping[str, Any], as_of: date) -> bool:
    """A number or a date; a date that is given must be readable and not lie in the future."""
    given, number = document.get("date"), document.get("number")
    if given is None:
        numbered = isinstance(number, int) and not isinstance(number, bool)
        return numbered or bool(_word(number))
    try:
        return date.fromisoformat(str(given)) <= as_of
    except ValueError:
        return False


def _meets(document: Mapping[str, Any], consent: Consent) -> bool:
    if _word(document.get("document")) != _word(consent.document):
        return False
    return consent.authority is None or _word(document.get("authority")) == _word(consent.authority)


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
