"""ISO 19139 documents: element order by the published schema, escaping, both languages."""

import datetime
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from layers.catalog import Contact
from layers.catalogue_records import Accuracy, Record, Step
from layers.iso_metadata import GCO, GMD, GML, XSI, OnlineResource, iso_xml
from layers.metadata import Approval
from layers.text import Text

NAMES = {"gmd": GMD, "gco": GCO, "gml": GML}
DAY = datetime.date(2026, 1, 1)
WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
NASTY = Text(zh="农田<&>\"'\x01]]>", en="Field <b>&amp;")

# The order of the elements in the schemas gmd/*.xsd of 2007-04-17. The documents of this test
# were validated against those schemas once, by hand; here the order stands in their place.
ORDER = {
    "MD_Metadata": "fileIdentifier language characterSet parentIdentifier hierarchyLevel"
    " hierarchyLevelName contact dateStamp metadataStandardName metadataStandardVersion"
    " dataSetURI locale spatialRepresentationInfo referenceSystemInfo metadataExtensionInfo"
    " identificationInfo contentInfo distributionInfo dataQualityInfo portrayalCatalogueInfo"
    " metadataConstraints",
    "MD_DataIdentification": "citation abstract purpose credit status pointOfContact"
    " resourceMaintenance graphicOverview resourceFormat descriptiveKeywords"
    " resourceSpecificUsage resourceConstraints aggregationInfo spatialRepresentationType"
    " spatialResolution language characterSet topicCategory environmentDescription extent",
    "CI_Citation": "title alternateTitle date edition editionDate identifier"
    " citedResponsibleParty presentationForm series otherCitationDetails",
    "CI_ResponsibleParty": "individualName organisationName positionName contactInfo role",
    "CI_Contact": "phone address onlineResource",
    "MD_LegalConstraints": "useLimitation accessConstraints useConstraints otherConstraints",
    "EX_Extent": "description geographicElement temporalElement",
    "EX_GeographicBoundingBox": "westBoundLongitude eastBoundLongitude southBoundLatitude"
    " northBoundLatitude",
    "DQ_DataQuality": "scope report lineage",
    "LI_Lineage": "statement processStep source",
    "LI_ProcessStep": "description rationale dateTime",
    "MD_Distribution": "distributionFormat distributor transferOptions",
    "CI_OnlineResource": "linkage protocol applicationProfile name description function",
    "RS_Identifier": "authority code codeSpace version",
    "DQ_AbsoluteExternalPositionalAccuracy": "nameOfMeasure measureIdentification"
    " measureDescription evaluationMethodType dateTime result",
    "DQ_QuantitativeResult": "valueType valueUnit errorStatistic value",
}


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": "edition.3", "resource": "edition", "plan_id": "overall-plan", "title": NASTY,
        "description": Text(zh="说明", en="About"),
        "contact": Contact(
            organisation=Text(zh="厅", en="Office"), email="a@b.cn", telephone="0898-1",
            address=Text(zh="海口", en="Haikou"), url="https://example.org",
        ),
        "keywords": (Text(zh="规划", en="plan"), Text(zh="规划", en="plan")),
        "classification": "restricted", "layer_ids": ("ecological_redline",),
        "licence": Text(zh="内部使用", en="for internal use"), "parent": "plan.overall-plan",
        "created": WHEN, "updated": WHEN, "begins": datetime.date(2025, 1, 1),
        "ends": datetime.date(2026, 1, 1), "extent": (108.5, 18.1, 111.0, 20.2),
        "accuracies": (Accuracy("ecological_redline", 13.0, Text(zh="中误差", en="sd")),),
        "lineage": Text(zh="来源", en="Origin"), "steps": (Step(NASTY, WHEN), Step(NASTY)),
        "approval": Approval(
            authority=Text(zh="省政府", en="Province"), document="琼府函〔2025〕1号", date=DAY
        ),
        "edition_id": 3, "state": "superseded", "synthetic": True, **changes,
    }  # fmt: skip
    return Record(**values)


BARE: dict[str, Any] = {
    "resource": "plan", "parent": None, "created": None, "updated": None, "begins": None,
    "ends": None, "extent": None, "accuracies": (), "lineage": None, "steps": (),
    "approval": Approval(), "edition_id": None, "licence": None, "synthetic": False,
    "contact": Contact(organisation=NASTY),
}  # fmt: skip
LINKS = (OnlineResource("http://x/items?a=1&b=<2>", "OGC API - Features", NASTY),)


def tree(one: Record, links: tuple[OnlineResource, ...] = LINKS) -> ET.Element:
    return ET.fromstring(iso_xml(one, links, DAY))


@pytest.mark.parametrize("one", [record(), record(**BARE)], ids=["whole", "bare"])
def test_elements_stand_in_the_order_of_the_schema(one: Record) -> None:
    found = tree(one)
    seen = set()
    for element in found.iter():
        name = element.tag.rpartition("}")[2]
        if name not in ORDER:
            continue
        seen.add(name)
        order = ORDER[name].split()
        places = [order.index(child.tag.rpartition("}")[2]) for child in element]
        assert places == sorted(places), name
    assert {"MD_Metadata", "MD_DataIdentification", "CI_Citation", "LI_Lineage"} <= seen


def test_texts_are_escaped_and_in_both_languages() -> None:
    found = tree(record())
    title = found.find(".//gmd:CI_Citation/gmd:title", NAMES)
    assert title is not None
    assert title.get(f"{{{XSI}}}type") == "gmd:PT_FreeText_PropertyType"
    assert title.findtext("gco:CharacterString", None, NAMES) == "农田<&>\"']]>"  # no control signs
    english = title.find(".//gmd:LocalisedCharacterString", NAMES)
    assert english is not None
    assert (english.get("locale"), english.text) == ("#en", "Field <b>&amp;")
    locale = found.find("gmd:locale/gmd:PT_Locale", NAMES)
    assert locale is not None
    assert locale.get("id") == "en"


def test_what_a_catalogue_reads_of_it() -> None:
    found = tree(record())

    def said(path: str) -> list[str | None]:
        return [element.text for element in found.findall(path, NAMES)]

    assert said("gmd:fileIdentifier/gco:CharacterString") == ["edition.3"]
    assert said("gmd:parentIdentifier/gco:CharacterString") == ["plan.overall-plan"]
    assert said(".//gmd:RS_Identifier/gmd:code/gco:CharacterString") == ["4490"]
    box = ".//gmd:EX_GeographicBoundingBox/gmd:{}/gco:Decimal"
    sides = ["west", "east", "south", "north"]
    names = [f"{s}BoundL{'ongitude' if s in 'westeast' else 'atitude'}" for s in sides]
    assert [float(said(box.format(n))[0] or "") for n in names] == [108.5, 111.0, 18.1, 20.2]
    assert said(".//gml:beginPosition") == ["2025-01-01"]
    assert said(".//gml:endPosition") == ["2025-12-31"]  # the last day that it holds
    assert "琼府函〔2025〕1号" in said(".//gmd:MD_Identifier/gmd:code/gco:CharacterString")
    details = said(".//gmd:otherCitationDetails/gco:CharacterString")[0] or ""
    assert re.search("省政府.*琼府函〔2025〕1号.*2026-01-01", details)
    assert said(".//gmd:DQ_QuantitativeResult/gmd:value/gco:Record") == ["13.000"]
    assert said(".//gmd:CI_OnlineResource/gmd:linkage/gmd:URL")[-1] == "http://x/items?a=1&b=<2>"
    codes = {
        element.tag.rpartition("}")[2]: element.get("codeListValue")
        for element in found.iter() if element.get("codeListValue")
    }  # fmt: skip
    assert codes["MD_ClassificationCode"] == "restricted"
    assert codes["MD_ProgressCode"] == "historicalArchive"
    assert len(said(".//gmd:keyword/gco:CharacterString")) == 1  # the same word once
    assert len(said(".//gmd:LI_ProcessStep/gmd:description/gco:CharacterString")) == 2


def test_what_is_unknown_is_left_out() -> None:
    found = tree(record(**BARE), ())
    for absent in ("distributionInfo", "parentIdentifier"):
        assert found.find(f"gmd:{absent}", NAMES) is None
    assert found.find(".//gmd:EX_Extent", NAMES) is None
    assert found.find(".//gmd:otherCitationDetails", NAMES) is None
    # The citation needs a date: the day the document was made.
    assert found.findtext(".//gmd:CI_Date/gmd:date/gco:Date", None, NAMES) == "2026-01-01"


def test_the_open_end_of_what_is_in_force() -> None:
    end = tree(record(ends=None)).find(".//gml:endPosition", NAMES)
    assert end is not None
    assert (end.text, end.get("indeterminatePosition")) == (None, "unknown")
