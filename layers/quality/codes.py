"""The kinds of findings that the checks of an edition make, with their names."""

from collections.abc import Mapping
from typing import Final

from layers.text import Text

TITLES: Final[Mapping[str, Text]] = {
    "invalid-geometry": Text(zh="图形无效", en="Invalid geometry"),
    "overlap": Text(zh="图斑重叠", en="Overlap inside the layer"),
    "overlap-sliver": Text(zh="精度内的细小重叠", en="Overlap below the accuracy"),
    "gap": Text(zh="图斑之间留空", en="Gap in the coverage"),
    "gap-sliver": Text(zh="精度内的细缝", en="Gap below the accuracy"),
    "gap-open": Text(zh="通向外部的细缝", en="Crack that leads out of the coverage"),
    "control-line-overlap": Text(zh="控制线重叠", en="Control lines overlap"),
    "control-line-overlap-sliver": Text(
        zh="精度内的控制线重叠", en="Overlap of control lines below the accuracy"
    ),
    "counterpart-missing": Text(zh="对照图层无数据", en="No data to compare with"),
    "counterpart-incomplete": Text(zh="对照图层不完整", en="Data to compare with are incomplete"),
    "outside-region": Text(zh="超出行政区域范围", en="Outside the region"),
    "unknown-code": Text(zh="代码不在编码表中", en="Unknown code"),
    "scheme-suspected": Text(zh="疑似编码体系有误", en="Codes look like those of another scheme"),
    "duplicate-id": Text(zh="要素编号重复", en="Duplicate feature id"),
    "duplicate-geometry": Text(zh="图形重复", en="Same geometry twice"),
    "required-missing": Text(zh="缺少必填属性", en="Mandatory attribute missing"),
    "spike": Text(zh="尖锐折点", en="Spike"),
    "sliver-polygon": Text(zh="狭长图斑", en="Sliver polygon"),
    "declared-area": Text(zh="申报面积与计算面积不符", en="Declared area differs"),
    "not-checked": Text(zh="未能检查", en="Not checked"),
}
"""Every code of ``config/quality.yml``. Findings of an import keep the import's own codes."""

DOUBTFUL: Final = frozenset({"not-checked", "counterpart-missing", "counterpart-incomplete"})
"""With one of these a run is not clean, whatever its severity: something was not looked at."""

IMPORT_TITLES: Final[Mapping[str, Text]] = {
    "geometry-missing": Text(zh="没有图形", en="No geometry"),
    "geometry-unreadable": Text(zh="图形数据无法解析", en="Unreadable geometry"),
    "geometry-empty": Text(zh="图形为空", en="Empty geometry"),
    "geometry-kind": Text(zh="图形类型不符", en="Wrong kind of geometry"),
    "geometry-invalid": Text(zh="图形无效（已拒绝）", en="Invalid geometry, refused"),
    "geometry-repaired": Text(zh="图形已修复", en="Geometry repaired"),
    "conversion-mended": Text(zh="坐标转换后已修正", en="Mended after the change of CRS"),
    "coordinates-not-finite": Text(zh="坐标不是数字", en="Coordinates are no numbers"),
    "outside-crs-bounds": Text(zh="坐标超出坐标系范围", en="Outside the bounds of the CRS"),
    "thinner-than-grid": Text(zh="图形小于存储网格", en="Thinner than the storage grid"),
    "refused-without-place": Text(zh="被拒绝且位置未知", en="Refused rows without a place"),
    "required-value-missing": Text(zh="缺少必填属性（已拒绝）", en="Mandatory value missing"),
    "bad-value": Text(zh="值无法读取", en="Unreadable value"),
    "personal-field-dropped": Text(zh="个人信息字段已删除", en="Personal field dropped"),
    "personal-value-dropped": Text(zh="个人信息已删除", en="Personal value dropped"),
    "fields-not-mapped": Text(zh="字段未入库", en="Fields not stored"),
    "ids-generated": Text(zh="以行号作为编号", en="Row numbers taken as ids"),
    "arcs-linearised": Text(zh="圆弧已折线化", en="Arcs made straight"),
    "z-or-m-dropped": Text(zh="高程已舍去", en="Heights dropped"),
    "crs-overridden": Text(zh="坐标系被指定值覆盖", en="CRS overridden"),
    "crosses-antimeridian": Text(zh="跨越日界线", en="Crosses the antimeridian"),
    "datum-shift-suspected": Text(zh="疑似基准偏移", en="Datum shift suspected"),
    "declared-area-differs": Text(
        zh="申报面积与计算面积不符（导入）", en="Declared area differs, at import"
    ),
    "declared-area-unit": Text(zh="申报面积的单位存疑", en="Unit of declared areas in doubt"),
    "edits-not-checked": Text(zh="草稿编辑后尚未检查", en="Edits not checked"),
    "content-shrunk": Text(zh="内容明显减少", en="Content shrank"),
}


def title_of(code: str) -> Text:
    """The name of a code; an import's code that has none here stands for itself."""
    return TITLES.get(code) or IMPORT_TITLES.get(code) or Text(zh=code, en=code)
