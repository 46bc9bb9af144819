"""The conflict report: JSON is the master, every other form is made from it.

The digest is SHA-256 over the RFC 8785 canonical form without ``report_id``, ``created``,
``digest`` and ``signature``. The same submission, editions, rule set and engine give the same
digest, in any process and with any number of workers: orders are fixed, sums exact, figures
rounded to 0.01, and no clock is read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pyproj
import shapely

from layers.area import INVERSE_FLATTENING, MU_M2, SEMI_MAJOR_M
from layers.crs import GRID_DEG, STORAGE_SRID
from layers.text import Text
from planning_rules.balance import quotas_concerned
from planning_rules.canonical_json import canonical, geometry_json
from planning_rules.engine import Bench, judge
from planning_rules.finding import Finding, text_json, worst
from planning_rules.land_take import COUNTY, CURRENT_USE, land_take
from planning_rules.overlay import LayerOverlay, TargetLayer
from planning_rules.quota import Quota
from planning_rules.rule_set import CheckProfile, RuleSet, rule_set_of
from planning_rules.submission import Submission
from planning_rules.suggestion import suggested_boundary
from planning_rules.width import narrower_than

SUGGESTS: Final = "suggested_boundary"
"""A member of reports, and the parameter that says that this engine makes it."""
OUTSIDE_DIGEST: Final = ("report_id", "created", "digest", "signature")

_SLIVER_M: Final = 0.02

SYNTHETIC: Final = Text(
    zh="演示数据：本报告所依据的规划数据均为合成数据，不反映任何真实规划。",
    en="Synthetic data: the plans behind this report are made up and show no real plan.",
)
DISCLAIMERS: Final = (
    Text(
        zh="本报告为规划数据比对结果，不是行政许可或审批决定。",
        en="This report compares data; it is no permit and no approval.",
    ),
    Text(
        zh="结论仅对所列数据版本与核查日期有效；规则阈值以主管部门发布为准。",
        en="It holds for the listed data editions and the day of the check; thresholds are those "
        "the authority sets.",
    ),
    Text(
        zh="使用和传递本报告应遵守保密法律与测绘成果管理规定。",
        en="The laws on secrecy and on survey results govern the use of this report.",
    ),
)
_VERDICTS: Final = {
    "violation": Text(zh="不符合：存在违反管控规则的情形", en="Violation of at least one rule"),
    "undetermined": Text(
        zh="无法判定：数据或信息不足，须补充或人工核查",
        en="Undetermined: data or answers are missing",
    ),
    "conditional": Text(
        zh="有条件符合：须取得所列同意或文件", en="Conditional on the listed consents"
    ),
    "warning": Text(zh="基本符合：有需注意的事项", en="Passes with warnings"),
    "pass": Text(
        zh="符合：未发现与所核查规则的冲突", en="Pass: no conflict with the checked rules"
    ),
}

_NOTHING_CHECKED: Final = Text(
    zh="无法判定：没有任何规则适用于该项目和核查日期，未作核查",
    en="Undetermined: no rule applies to this project on this day, so nothing was checked",
)


def build_report_by_text(
    submission: Submission,
    targets: Mapping[str, TargetLayer],
    rules: str,
    as_of: date,
    quotas: Sequence[Quota] = (),
    *,
    report_id: str,
    created: str,
    known_at: str | None = None,
    suggest: bool = True,
    profile: str | None = None,
) -> dict[str, Any]:
    """``build_report`` with the rules as canonical text, read once a process.

    A rule set of 35 rules as objects takes 2.5 ms to hand to a child, at every check; its text
    next to nothing.
    """
    return build_report(
        submission,
        targets,
        _rules_of(rules),
        as_of,
        quotas,
        report_id=report_id,
        created=created,
        known_at=known_at,
        suggest=suggest,
        profile=profile,
    )


@lru_cache(maxsize=4)
def _rules_of(canonical_text: str) -> RuleSet:
    return rule_set_of(canonical_text)


def build_report(
    submission: Submission,
    targets: Mapping[str, TargetLayer],
    rule_set: RuleSet,
    as_of: date,
    quotas: Sequence[Quota] = (),
    *,
    report_id: str,
    created: str,
    known_at: str | None = None,
    synthetic: bool = False,
    suggest: bool = True,
    profile: str | None = None,
) -> dict[str, Any]:
    """Judge a submission and write the report.

    ``created`` and ``known_at`` are RFC 3339 times: when it is written, and the moment whose
    knowledge was asked for, told only where one was. ``synthetic`` marks demonstration data (as
    does any target that says so of itself). ``signature`` is null here: who signs adds it, the
    digest stays. ``suggest`` is False for the replay of a report that was made without suggested
    boundaries.
    """
    bench = Bench(submission, targets, quotas)
    chosen = None if profile is None else rule_set.profile(profile)
    findings = judge(submission, targets, rule_set, as_of, bench, chosen)
    outcome = worst(*(finding.outcome for finding in findings))
    if outcome == "not-applicable":  # a report in which nothing was checked is no pass
        outcome = "undetermined"
    report: dict[str, Any] = {
        "report_id": report_id,
        "created": created,
        "as_of": as_of.isoformat(),
        "outcome": outcome,
        "summary": text_json(_summary(outcome, findings, chosen)),
        "submission": _submission(submission),
        "findings": [finding.as_json() for finding in findings],
        "layers": _layers(bench, rule_set, findings),
        "land_take": _land_take(bench, submission),
        "provenance": {
            **_provenance(bench, rule_set),
            **({"known_at": known_at} if known_at is not None else {}),
        },
        "disclaimers": [text_json(text) for text in DISCLAIMERS],
    }
    if chosen is not None:
        report["profile"] = {"id": chosen.id, "title": text_json(chosen.title)}
        report["provenance"]["parameters"]["profile"] = chosen.id
    if suggest:
        report["provenance"]["parameters"][SUGGESTS] = True
        if (boundary := suggested_boundary(bench.site, findings, rule_set)) is not None:
            report[SUGGESTS] = boundary
    if rule_set.notice is not None:
        report["disclaimers"].append(text_json(rule_set.notice))
    if synthetic or any(target.synthetic for target in targets.values()):
        report["synthetic"] = True
        report["notice"] = text_json(SYNTHETIC)
    report["digest"] = digest(report)
    report["signature"] = None
    return report


def canonical_bytes(report: Mapping[str, Any]) -> bytes:
    """The hashed part of a report in RFC 8785 form."""
    return canonical({k: v for k, v in report.items() if k not in OUTSIDE_DIGEST})


def digest(report: Mapping[str, Any]) -> str:
    """``sha256:`` and the hex digest of ``canonical_bytes``."""
    return "sha256:" + hashlib.sha256(canonical_bytes(report)).hexdigest()


def digest_is_right(report: Mapping[str, Any]) -> bool:
    """Whether the digest that a report carries fits its content."""
    return bool(report.get("digest") == digest(report))


@cache
def _package_version() -> str:
    return version("gis-service")


def _summary(outcome: str, findings: list[Finding], profile: CheckProfile | None) -> Text:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.outcome] = counts.get(finding.outcome, 0) + 1
    words = {
        "violation": ("违反", "violated"), "undetermined": ("无法判定", "undetermined"),
        "conditional": ("有条件", "conditional"), "warning": ("提示", "warnings"),
        "pass": ("符合", "passed"), "not-applicable": ("不适用", "not applicable"),
    }  # fmt: skip
    named = [(counts[key], *words[key]) for key in words if key in counts]
    unused = all(finding.outcome == "not-applicable" for finding in findings)
    verdict = _NOTHING_CHECKED if unused else _VERDICTS[outcome]
    part_zh = "" if profile is None else f"（仅按方案“{profile.title.zh}”核查）"
    part_en = "" if profile is None else f" (of the profile '{profile.title.en}' only)"
    return Text(
        zh=f"{verdict.zh}{part_zh}。共核查 {len(findings)} 条规则："
        + "，".join(f"{zh} {count}" for count, zh, _ in named)
        + "。",
        en=f"{verdict.en}{part_en}. {len(findings)} rules: "
        + ", ".join(f"{count} {en}" for count, _, en in named)
        + ".",
    )


def _submission(submission: Submission) -> dict[str, Any]:
    return {
        "id": submission.id,
        "name": submission.name,
        "sha256": submission.sha256,
        "source_crs": submission.source_crs,
        "area_m2": round(submission.area_m2, 2),
        "area_mu": round(submission.area_m2 / MU_M2, 2),
        "declared_area_m2": submission.declared_area_m2,
        "dimension": submission.dimension,
        "attributes": dict(submission.attributes),
        "geometry": geometry_json(submission.geometry),
        "repairs": [remark.as_json() for remark in submission.repairs],
        "notes": [remark.as_json() for remark in submission.notes],
    }


def _layers(bench: Bench, rule_set: RuleSet, findings: list[Finding]) -> list[dict[str, Any]]:
    """concerned / not-concerned / no-data for every layer that was given or that a rule reads."""
    met = {
        patch.layer
        for finding in findings
        if finding.result is not None
        for patch in finding.result.patches
        if patch.kind == "conflict"
    }
    result = []
    for layer in sorted({*bench.targets, *rule_set.layers, COUNTY, CURRENT_USE}):
        target = bench.targets.get(layer)
        state = "concerned" if layer in met else _state(bench, layer)
        result.append(
            {"layer": layer, "edition": target.edition if target else None, "state": state}
        )
    return result


def _state(bench: Bench, layer: str) -> str:
    try:
        overlay = bench.overlay(layer)
    except Exception:  # a layer that cannot be measured counts as one without data
        return "no-data"
    bodies = [part.body for part in overlay.shared if part.body is not None]
    areas = [body for body in bodies if int(shapely.get_dimensions(body)) == 2]
    concerned = len(areas) < len(bodies)
    if not concerned and areas:
        metres = bench.site.plane.to_metres(np.array(areas, dtype=object))
        concerned = not bool(narrower_than(metres, _SLIVER_M).all())
    if concerned:
        return "concerned"
    return "no-data" if overlay.uncovered is not None else "not-concerned"


def _land_take(bench: Bench, submission: Submission) -> list[dict[str, Any]]:
    def overlay(layer: str) -> LayerOverlay | None:
        try:
            return bench.overlay(layer)
        except Exception:  # an unmeasurable layer leaves its column empty, it stops no report
            return None

    return land_take(bench.site, submission.area_m2, overlay(COUNTY), overlay(CURRENT_USE))


def _quotas(bench: Bench) -> list[dict[str, Any]]:
    """The ledger figures of the units that the site lies in; none where those are not known."""
    try:
        units = bench.overlay(COUNTY)
    except Exception:  # said by the findings that read it
        return []
    return [quota.as_json() for quota in quotas_concerned(units, bench.quotas)]


def _provenance(bench: Bench, rule_set: RuleSet) -> dict[str, Any]:
    targets, editions = bench.targets, []
    for _, target in sorted(targets.items()):
        entry: dict[str, Any] = {
            "layer": target.layer,
            "edition": target.edition,
            "content_sha256": target.content_sha256,
            "accuracy_m": target.accuracy_m,
        }
        if target.plan is not None:
            entry["plan"] = target.plan
        editions.append(entry)
    region = next((t.region for t in targets.values() if t.region is not None), None)
    return {
        "rule_set": {
            "id": rule_set.id, "version": rule_set.version, "sha256": rule_set.sha256,
            "status": rule_set.status,
        },
        "editions": editions,
        **({"quotas": _quotas(bench)} if rule_set.ledgers else {}),
        "engine": engine_json(),
        "parameters": {
            **parameters_json(rule_set), "region_bbox": None if region is None else list(region),
        },
    }  # fmt: skip


def engine_json() -> dict[str, str]:
    """The versions that figures depend on."""
    return {
        "package": _package_version(),
        "shapely": shapely.__version__,
        "geos": shapely.geos_version_string,
        "pyproj": pyproj.__version__,
        "proj": pyproj.proj_version_str,
    }


def parameters_json(rule_set: RuleSet) -> dict[str, Any]:
    """How is measured, whatever is measured."""
    return {
        "crs": f"EPSG:{STORAGE_SRID}",
        "area_method": rule_set.area_method,
        "ellipsoid": {"a_m": SEMI_MAJOR_M, "inverse_flattening": INVERSE_FLATTENING},
        "snap_grid": f"{GRID_DEG:g} degrees",
        "figures_rounded_to": 0.01,
        "width": "diameter of the largest inscribed circle, local tangent plane",
    }
