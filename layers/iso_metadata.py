"""A record as ISO 19115 metadata in the XML of ISO 19139 (namespace gmd), Chinese first.

Element order is that of the schema; texts for people carry the English form beside the Chinese
one (PT_FreeText, locale ``en``). Built as a tree, so that every text is escaped by the library.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from layers.catalog import Contact
from layers.catalogue_records import Accuracy, Record
from layers.text import Text

GMD: Final = "http://www.isotc211.org/2005/gmd"
GCO: Final = "http://www.isotc211.org/2005/gco"
GML: Final = "http://www.opengis.net/gml/3.2"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
XLINK: Final = "http://www.w3.org/1999/xlink"
_CODES: Final = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml#"
_STANDARD: Final = "ISO 19115:2003/19139"
_TOPIC: Final = "planningCadastre"
_WORDS: Final = {
    "zh": {"unclassified": "公开", "restricted": "内部", "confidential": "秘密", "secret": "机密",
           "topSecret": "绝密"},
}  # fmt: skip
_ILLEGAL: Final = {code: None for code in range(32) if code not in (9, 10, 13)} | {
    0xFFFE: None, 0xFFFF: None,
}  # fmt: skip

for _prefix, _uri in (("gmd", GMD), ("gco", GCO), ("gml", GML), ("xlink", XLINK), ("xsi", XSI)):
    ET.register_namespace(_prefix, _uri)


@dataclass(frozen=True, slots=True)
class OnlineResource:
    """One way to get the data: address, protocol as catalogues call it, name, function code."""

    url: str
    protocol: str
    name: Text
    function: str = "download"


def iso_xml(record: Record, resources: Sequence[OnlineResource], stamp: datetime.date) -> bytes:
    """The metadata document; ``stamp`` is the day for records without a date of their own."""
    root = ET.Element(_gmd("MD_Metadata"))
    _text(_into(root, "fileIdentifier"), record.id)
    _code(_into(root, "language"), "LanguageCode", "chi")
    _code(_into(root, "characterSet"), "MD_CharacterSetCode", "utf8")
    if record.parent is not None:
        _text(_into(root, "parentIdentifier"), record.parent)
    level = "series" if record.resource == "plan" else "dataset"
    _code(_into(root, "hierarchyLevel"), "MD_ScopeCode", level)
    _both_plain(_into(root, "hierarchyLevelName"), _LEVEL_NAMES[record.resource])
    _contact(_into(root, "contact"), record.contact, "pointOfContact")
    _date(_into(root, "dateStamp"), (record.updated or record.created), stamp)
    _text(_into(root, "metadataStandardName"), _STANDARD)
    _text(_into(root, "metadataStandardVersion"), "1.0")
    _locale(_into(root, "locale"))
    _reference_system(_into(root, "referenceSystemInfo"))
    _identification(_into(root, "identificationInfo"), record, stamp)
    if resources:
        _distribution(_into(root, "distributionInfo"), resources)
    _quality(_into(root, "dataQualityInfo"), record, level)
    _security(_into(root, "metadataConstraints"), record)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


_LEVEL_NAMES: Final = {
    "plan": Text(zh="规划", en="plan"),
    "layer": Text(zh="图层", en="layer"),
    "edition": Text(zh="版本", en="edition"),
}


def _gmd(name: str) -> str:
    return f"{{{GMD}}}{name}"


def _into(parent: ET.Element, *names: str) -> ET.Element:
    for name in names:
        parent = ET.SubElement(parent, _gmd(name))
    return parent


def _text(parent: ET.Element, value: str) -> None:
    ET.SubElement(parent, f"{{{GCO}}}CharacterString").text = value.translate(_ILLEGAL)


def _both(parent: ET.Element, value: Text) -> None:
    """Chinese text with the English one as its localised form."""
    parent.set(f"{{{XSI}}}type", "gmd:PT_FreeText_PropertyType")
    _text(parent, value.zh)
    group = _into(parent, "PT_FreeText", "textGroup")
    english = _into(group, "LocalisedCharacterString")
    english.set("locale", "#en")
    english.text = value.en.translate(_ILLEGAL)


def _both_plain(parent: ET.Element, value: Text) -> None:
    _text(parent, f"{value.zh} {value.en}")


def _code(parent: ET.Element, name: str, value: str, shown: str | None = None) -> None:
    code = _into(parent, name)
    code.set("codeList", _CODES + name)
    code.set("codeListValue", value)
    code.text = shown or value


def _date(parent: ET.Element, when: datetime.datetime | datetime.date | None,
          otherwise: datetime.date | None = None) -> None:  # fmt: skip
    day = when.date() if isinstance(when, datetime.datetime) else when or otherwise
    if day is not None:
        ET.SubElement(parent, f"{{{GCO}}}Date").text = day.isoformat()


def _contact(parent: ET.Element, contact: Contact, role: str) -> None:
    party = _into(parent, "CI_ResponsibleParty")
    _both(_into(party, "organisationName"), contact.organisation)
    if contact.telephone or contact.address or contact.email or contact.url:
        info = _into(party, "contactInfo", "CI_Contact")
        if contact.telephone:
            _text(_into(info, "phone", "CI_Telephone", "voice"), contact.telephone)
        if contact.address or contact.email:
            address = _into(info, "address", "CI_Address")
            if contact.address:
                _both(_into(address, "deliveryPoint"), contact.address)
            if contact.email:
                _text(_into(address, "electronicMailAddress"), contact.email)
        if contact.url:
            resource = _into(info, "onlineResource", "CI_OnlineResource", "linkage")
            _into(resource, "URL").text = contact.url
    _code(_into(party, "role"), "CI_RoleCode", role)


def _locale(parent: ET.Element) -> None:
    locale = _into(parent, "PT_Locale")
    locale.set("id", "en")
    _code(_into(locale, "languageCode"), "LanguageCode", "eng")
    _code(_into(locale, "characterEncoding"), "MD_CharacterSetCode", "utf8")


def _reference_system(parent: ET.Element) -> None:
    """CGCS2000: everything is stored in it, whatever the file was in."""
    identifier = _into(parent, "MD_ReferenceSystem", "referenceSystemIdentifier", "RS_Identifier")
    _text(_into(identifier, "code"), "4490")
    _text(_into(identifier, "codeSpace"), "EPSG")


def _identification(parent: ET.Element, record: Record, stamp: datetime.date) -> None:
    data = _into(parent, "MD_DataIdentification")
    _citation(_into(data, "citation"), record, stamp)
    _both(_into(data, "abstract"), record.description)
    _code(_into(data, "status"), "MD_ProgressCode", _status(record))
    _contact(_into(data, "pointOfContact"), record.contact, "custodian")
    frequency = _into(data, "resourceMaintenance", "MD_MaintenanceInformation")
    _code(
        _into(frequency, "maintenanceAndUpdateFrequency"),
        "MD_MaintenanceFrequencyCode",
        record.maintenance,
    )
    _keywords(_into(data, "descriptiveKeywords"), record.keywords)
    _legal(_into(data, "resourceConstraints"), record)
    _security(_into(data, "resourceConstraints"), record)
    _code(_into(data, "spatialRepresentationType"), "MD_SpatialRepresentationTypeCode", "vector")
    _code(_into(data, "language"), "LanguageCode", "chi")
    _code(_into(data, "characterSet"), "MD_CharacterSetCode", "utf8")
    _into(data, "topicCategory", "MD_TopicCategoryCode").text = _TOPIC
    if record.extent is not None or record.begins is not None:
        _extent(_into(data, "extent"), record)


def _status(record: Record) -> str:
    if record.resource == "edition":
        return "historicalArchive" if record.state == "superseded" else "completed"
    return "onGoing" if record.begins is not None else "planned"


def _citation(parent: ET.Element, record: Record, stamp: datetime.date) -> None:
    citation = _into(parent, "CI_Citation")
    _both(_into(citation, "title"), record.title)
    dates = [("creation", record.created), ("publication", record.updated)]
    dated = [(kind, when) for kind, when in dates if when is not None]
    for kind, when in dated:
        _dated(citation, kind, when)
    if not dated:
        _dated(citation, "publication", stamp)
    if record.approval.date is not None:
        _dated(citation, "revision", record.approval.date)
    if record.edition_id is not None:
        _text(_into(citation, "edition"), str(record.edition_id))
    if record.begins is not None and record.resource == "edition":
        _date(_into(citation, "editionDate"), record.begins)
    identifier = _into(citation, "identifier", "MD_Identifier")
    _text(_into(identifier, "code"), record.id)
    if record.approval.document is not None:
        _text(_into(citation, "identifier", "MD_Identifier", "code"), record.approval.document)
    _contact(_into(citation, "citedResponsibleParty"), record.contact, "owner")
    if record.approval.authority is not None:
        approving = Contact(organisation=record.approval.authority)
        _contact(_into(citation, "citedResponsibleParty"), approving, "publisher")
    details = _approval_words(record)
    if details is not None:
        _both(_into(citation, "otherCitationDetails"), details)


def _dated(citation: ET.Element, kind: str, when: datetime.datetime | datetime.date) -> None:
    date = _into(citation, "date", "CI_Date")
    _date(_into(date, "date"), when)
    _code(_into(date, "dateType"), "CI_DateTypeCode", kind)


def _approval_words(record: Record) -> Text | None:
    """Who approved it, by which document, when; None where nobody said so."""
    one = record.approval
    zh, en = [], []
    if one.authority is not None:
        zh.append(f"批准机关：{one.authority.zh}")
        en.append(f"approved by {one.authority.en}")
    if one.document is not None:
        zh.append(f"批准文号：{one.document}")
        en.append(f"document {one.document}")
    if one.date is not None:
        zh.append(f"批准日期：{one.date.isoformat()}")
        en.append(f"on {one.date.isoformat()}")
    return Text(zh="；".join(zh), en=", ".join(en)) if zh else None


def _keywords(parent: ET.Element, words: Sequence[Text]) -> None:
    keywords = _into(parent, "MD_Keywords")
    for word in dict.fromkeys(words):
        _both(_into(keywords, "keyword"), word)
    _code(_into(keywords, "type"), "MD_KeywordTypeCode", "theme")


def _legal(parent: ET.Element, record: Record) -> None:
    legal = _into(parent, "MD_LegalConstraints")
    if record.synthetic:
        _both(
            _into(legal, "useLimitation"),
            Text(zh="演示数据，非真实规划。", en="Synthetic data, not a real plan."),
        )
    restriction = "otherRestrictions" if record.licence is not None else "license"
    _code(_into(legal, "useConstraints"), "MD_RestrictionCode", restriction)
    if record.licence is not None:
        _both(_into(legal, "otherConstraints"), record.licence)


def _security(parent: ET.Element, record: Record) -> None:
    security = _into(parent, "MD_SecurityConstraints")
    _code(
        _into(security, "classification"),
        "MD_ClassificationCode",
        record.classification,
        _WORDS["zh"][record.classification],
    )


def _extent(parent: ET.Element, record: Record) -> None:
    extent = _into(parent, "EX_Extent")
    if record.extent is not None:
        west, south, east, north = record.extent
        box = _into(extent, "geographicElement", "EX_GeographicBoundingBox")
        for name, value in (
            ("westBoundLongitude", west), ("eastBoundLongitude", east),
            ("southBoundLatitude", south), ("northBoundLatitude", north),
        ):  # fmt: skip
            ET.SubElement(_into(box, name), f"{{{GCO}}}Decimal").text = f"{value:.8f}"
    if record.begins is not None:
        period = _into(extent, "temporalElement", "EX_TemporalExtent", "extent")
        time = ET.SubElement(period, f"{{{GML}}}TimePeriod", {f"{{{GML}}}id": "period"})
        ET.SubElement(time, f"{{{GML}}}beginPosition").text = record.begins.isoformat()
        end = ET.SubElement(time, f"{{{GML}}}endPosition")
        if record.ends is None:
            end.set("indeterminatePosition", "unknown")
        else:
            end.text = (record.ends - datetime.timedelta(days=1)).isoformat()


def _distribution(parent: ET.Element, resources: Sequence[OnlineResource]) -> None:
    distribution = _into(parent, "MD_Distribution")
    form = _into(distribution, "distributionFormat", "MD_Format")
    _text(_into(form, "name"), "GeoJSON, Mapbox Vector Tile")
    _text(_into(form, "version"), "RFC 7946, 2.1")
    options = _into(distribution, "transferOptions", "MD_DigitalTransferOptions")
    for one in resources:
        online = _into(options, "onLine", "CI_OnlineResource")
        _into(online, "linkage", "URL").text = one.url
        _text(_into(online, "protocol"), one.protocol)
        _both(_into(online, "name"), one.name)
        _code(_into(online, "function"), "CI_OnLineFunctionCode", one.function)


def _quality(parent: ET.Element, record: Record, level: str) -> None:
    quality = _into(parent, "DQ_DataQuality")
    _code(_into(quality, "scope", "DQ_Scope", "level"), "MD_ScopeCode", level)
    for accuracy in record.accuracies:
        _accuracy(_into(quality, "report"), accuracy)
    lineage = _into(quality, "lineage", "LI_Lineage")
    _both(_into(lineage, "statement"), record.lineage or _NO_LINEAGE)
    for step in record.steps:
        process = _into(lineage, "processStep", "LI_ProcessStep")
        _both(_into(process, "description"), step.text)
        if step.at is not None:
            when = step.at.astimezone(datetime.UTC).replace(tzinfo=None)
            ET.SubElement(_into(process, "dateTime"), f"{{{GCO}}}DateTime").text = when.isoformat(
                timespec="seconds"
            )


_NO_LINEAGE: Final = Text(
    zh="来源见各处理步骤。", en="The process steps say where the data come from."
)


def _accuracy(parent: ET.Element, accuracy: Accuracy) -> None:
    report = _into(parent, "DQ_AbsoluteExternalPositionalAccuracy")
    _text(_into(report, "nameOfMeasure"), "horizontal standard deviation")
    said = f"{accuracy.layer_id}"
    if accuracy.statement is not None:
        said = f"{said}: {accuracy.statement.zh} {accuracy.statement.en}"
    _text(_into(report, "measureDescription"), said)
    result = _into(report, "result", "DQ_QuantitativeResult")
    unit = ET.SubElement(
        _into(result, "valueUnit"), f"{{{GML}}}BaseUnit", {f"{{{GML}}}id": f"m-{accuracy.layer_id}"}
    )
    ET.SubElement(unit, f"{{{GML}}}identifier", {"codeSpace": "SI"}).text = "m"
    ET.SubElement(unit, f"{{{GML}}}unitsSystem", {f"{{{XLINK}}}href": "http://www.bipm.org/en/si/"})
    ET.SubElement(_into(result, "value"), f"{{{GCO}}}Record").text = f"{accuracy.value_m:.3f}"
