"""Words for what is wrong with a geometry; GEOS gives its reasons in English only."""

from typing import Final

from layers.catalog import GeometryKind
from layers.text import Text

KIND_NAMES: Final[dict[GeometryKind, Text]] = {
    "point": Text(zh="点", en="points"),
    "line": Text(zh="线", en="lines"),
    "polygon": Text(zh="面", en="polygons"),
}

REASONS: Final[dict[str, Text]] = {
    "geometry-missing": Text(zh="没有图形", en="The row has no geometry"),
    "geometry-unreadable": Text(zh="图形数据无法解析", en="The geometry cannot be read"),
    "geometry-empty": Text(zh="图形为空", en="The geometry is empty"),
    "coordinates-not-finite": Text(
        zh="坐标含 NaN 或无穷大", en="A coordinate is not a number or infinite"
    ),
    "no-points": Text(zh="地块没有界址点", en="The parcel has no boundary points"),
    "ring-too-short": Text(
        zh="圈的界址点少于 3 个", en="A ring has fewer than three boundary points"
    ),
    "ring-closed-early": Text(
        zh="圈已闭合，其后仍有同一圈号的界址点（每个圈须有自己的圈号）",
        en="The ring is closed, but more points with its number follow (each ring needs its own)",
    ),
    "ring-number-repeated": Text(
        zh="圈号重复使用：另一圈之后再次出现同一圈号",
        en="The ring number is used again after another ring",
    ),
    "ring-crosses-itself": Text(zh="圈自相交或退化", en="A ring crosses itself or is degenerate"),
    "rings-cross": Text(zh="两个圈的边界相互交叉", en="Two rings of the parcel cross each other"),
    "rings-repeated": Text(zh="同一个圈出现两次", en="The same ring stands twice in the parcel"),
    "line-too-short": Text(zh="线的不同点少于 2 个", en="A line has fewer than two points"),
    "outside-crs-bounds": Text(
        zh="坐标超出所声明坐标系的范围", en="Coordinates lie outside the bounds of the stated CRS"
    ),
    "outside-region": Text(
        zh="图形（部分）位于行政区域范围之外", en="The geometry lies (partly) outside the region"
    ),
    "outside-conversion-area": Text(
        zh="图形（部分）位于坐标转换的适用范围之外",
        en="The geometry lies (partly) outside the area for which the transformation is stated",
    ),
    "thinner-than-grid": Text(
        zh="图形小于存储网格（约 1 毫米），无法存储",
        en="The geometry is thinner than the storage grid (about 1 mm)",
    ),
}

FAULTS_ZH: Final[dict[str, str]] = {
    "Self-intersection": "自相交",
    "Ring Self-intersection": "环自相交",
    "Hole lies outside shell": "内环在外环之外",
    "Nested shells": "外环嵌套",
    "Nested holes": "内环嵌套",
    "Duplicate Rings": "重复环",
    "Interior is disconnected": "内部不连通",
    "Too few points in geometry component": "点数不足",
    "Invalid Coordinate": "坐标无效",
    "Ring is not closed": "环未闭合",
}
