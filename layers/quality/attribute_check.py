"""Attributes of stored features: mandatory values, codes and the scheme they may be of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from layers.catalog import Attribute, Catalog, CodeList, Layer
from layers.quality.findings import CheckedLayer, Finding, found
from layers.text import Text

SCHEME: Final = "code_scheme"
"""The attribute by which a feature names the classification that its code is of."""
_SUSPECTED_SHARE: Final = 0.5

Place = tuple[float, float]


@dataclass(slots=True)
class AttributeCheck:
    """Checks the features of one content; ``conclude`` says what all of them together suggest."""

    layer: CheckedLayer
    definition: Layer
    catalog: Catalog
    unknown: Counter[str] = field(default_factory=Counter)
    """How many features have a code that is in no list, by attribute."""
    elsewhere: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many of them another scheme knows, by attribute and scheme."""

    def check(
        self, feature_id: str, attributes: Mapping[str, Any], place: Place
    ) -> Iterable[Finding]:
        """Findings of one feature."""
        for attribute in self.definition.kept_attributes:
            value = attributes.get(attribute.name)
            if attribute.required and (value is None or value == ""):
                yield from self._missing(attribute, feature_id, place)
            elif attribute.codes is not None and value is not None:
                yield from self._code(attribute, attributes, value, feature_id, place)

    def _missing(self, attribute: Attribute, feature_id: str, place: Place) -> Iterable[Finding]:
        return found(
            self.layer,
            "required-missing",
            Text(
                zh=f"缺少必填属性“{attribute.title.zh}”。",
                en=f"The mandatory attribute '{attribute.title.en}' is missing.",
            ),
            feature_ids=(feature_id,),
            field=attribute.name,
            place=place,
        )

    def _code(
        self,
        attribute: Attribute,
        attributes: Mapping[str, Any],
        value: Any,
        feature_id: str,
        place: Place,
    ) -> Iterable[Finding]:
        code_list = self._list_of(attribute, attributes)
        if code_list.find(str(value)) is not None:
            return ()
        others = self._others(attribute, code_list, str(value))
        self.unknown[attribute.name] += 1
        for other in others:
            self.elsewhere[attribute.name, other.scheme] += 1
        return found(
            self.layer,
            "unknown-code",
            _unknown(code_list, others, str(value)),
            feature_ids=(feature_id,),
            field=attribute.name,
            value=value,
            place=place,
        )

    def _list_of(self, attribute: Attribute, attributes: Mapping[str, Any]) -> CodeList:
        """The list of the scheme that the feature names, else the attribute's own."""
        default = self.catalog.code_list(attribute.codes or "")
        if attribute.name == SCHEME:
            return default
        return self.catalog.code_list_of_scheme(str(attributes.get(SCHEME, ""))) or default

    def _others(self, attribute: Attribute, asked: CodeList, value: str) -> list[CodeList]:
        """The other classifications of the library that know the code."""
        schemes = self.definition.attribute(SCHEME)
        if schemes is None or schemes.codes is None or attribute.name == SCHEME:
            return []
        names = [code.code for code in self.catalog.code_list(schemes.codes).codes]
        lists = (self.catalog.code_list_of_scheme(name) for name in names)
        return [one for one in lists if one and one.id != asked.id and one.find(value)]

    def conclude(self) -> Iterable[Finding]:
        """Where most unknown codes are codes of one other scheme, say so once."""
        for name, count in self.unknown.items():
            known = {scheme: n for (attribute, scheme), n in self.elsewhere.items()
                     if attribute == name}  # fmt: skip
            if not known:
                continue
            scheme, number = max(known.items(), key=lambda pair: (pair[1], pair[0]))
            other = self.catalog.code_list_of_scheme(scheme)
            if other is None or number < _SUSPECTED_SHARE * count:
                continue
            yield from found(
                self.layer,
                "scheme-suspected",
                Text(
                    zh=f"{count} 个未知代码中有 {number} 个属于“{other.title.zh}”；"
                    f"若文件采用该体系，请将 {SCHEME} 设为 {scheme}。",
                    en=f"{number} of {count} unknown codes are codes of '{other.title.en}'; if the "
                    f"file is in that scheme, set {SCHEME} to {scheme}.",
                ),
                field=name,
                value=scheme,
                measured=number / count,
                unit="1",
            )


def _unknown(code_list: CodeList, others: list[CodeList], value: str) -> Text:
    zh, en = (
        f"代码 {value} 不在“{code_list.title.zh}”中",
        f"{value} is not in '{code_list.title.en}'",
    )
    if not others:
        return Text(zh=f"{zh}，也不在其他编码体系中。", en=f"{en} nor in another scheme.")
    names_zh = "、".join(f"“{one.title.zh}”（{_name(one, value).zh}）" for one in others)
    names_en = ", ".join(f"'{one.title.en}' ({_name(one, value).en})" for one in others)
    return Text(zh=f"{zh}；见于{names_zh}。", en=f"{en}; known to {names_en}.")


def _name(code_list: CodeList, value: str) -> Text:
    code = code_list.find(value)
    return code.title if code else Text(zh=value, en=value)
