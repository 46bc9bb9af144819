"""Signatures of reports, verified by another library too (cryptography, straight from RFC 7518)."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from gis_service.signing import ReportKeys, load_keys
from layers.errors import BadConfiguration

REPORT: dict[str, Any] = {
    "report_id": "7d6f", "created": "2026-11-24T08:00:00Z", "digest": "sha256:" + "a" * 64,
    "outcome": "violation", "findings": [],
}  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> ReportKeys:
    return load_keys(tmp_path / "keys")


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_by_hand(token: str, jwk: dict[str, str]) -> None:
    head, body, signature = token.split(".")
    x, y = (int.from_bytes(unpadded(jwk[name]), "big") for name in ("x", "y"))
    raw = unpadded(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))


def test_a_signature_verifies_here_and_elsewhere(keys: ReportKeys) -> None:
    token = keys.sign(REPORT)
    assert token is not None
    assert keys.check({**REPORT, "signature": token}).good
    (public,) = keys.public_set()["keys"]
    assert "d" not in public
    verify_by_hand(token, public)
    with pytest.raises(InvalidSignature):
        verify_by_hand(token[:-6] + "AAAAAA", public)


@pytest.mark.parametrize("name", ["report_id", "created", "digest", "outcome"])
def test_a_signature_fits_its_own_report_only(keys: ReportKeys, name: str) -> None:
    changed = {**REPORT, "signature": keys.sign(REPORT), name: "other"}
    assert keys.check(changed).fault == "of-another-report"


def forged(keys: ReportKeys) -> list[tuple[object, str]]:
    token = keys.sign(REPORT) or ""
    head, body, signature = token.split(".")
    (kid,) = keys.trusted
    stranger = ECKey.generate_key("P-256")
    payload = unpadded(body)
    public_as_secret = OctKey.import_key(json.dumps(keys.public_set()["keys"][0]))

    def encoded(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return [
        (None, "unsigned"),
        (7, "malformed"),
        ("x" * 5000, "malformed"),
        ("", "bad-signature"),
        ("a.b.c", "bad-signature"),
        (f"{head}.{body}.", "bad-signature"),
        (f"{head}.{body}.{signature[:-4]}AAAA", "bad-signature"),
        (f"{encoded({'alg': 'none', 'kid': kid})}.{body}.", "bad-signature"),
        (jws.serialize_compact({"alg": "ES256", "kid": kid}, payload, stranger), "bad-signature"),
        (jws.serialize_compact({"alg": "ES256", "kid": "?"}, payload, stranger), "unknown-key"),
        (jws.serialize_compact({"alg": "ES256"}, payload, stranger), "unknown-key"),
        (
            jws.serialize_compact({"alg": "HS256", "kid": kid}, payload, public_as_secret),
            "bad-signature",
        ),
    ]


def test_forged_and_broken_tokens_are_told_apart(keys: ReportKeys) -> None:
    for token, fault in forged(keys):
        checked = keys.check({**REPORT, "signature": token})
        assert (checked.good, checked.fault) == (False, fault), token


def test_the_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    first, second = load_keys(tmp_path / "keys"), load_keys(tmp_path / "keys")
    assert set(first.trusted) == set(second.trusted)
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_reports_of_a_retired_key_stay_verifiable(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    old = load_keys(folder)
    report = {**REPORT, "signature": old.sign(REPORT)}
    (retired,) = old.public_set()["keys"]
    (folder / "report-signing.jwk").unlink()
    new = load_keys(folder)
    assert new.check(report).fault == "unknown-key"
    (folder / "retired-2026.jwk").write_text(json.dumps(retired))
    assert load_keys(folder).check(report).good
    assert load_keys(folder).sign(REPORT) is not None


def test_a_key_of_the_settings_signs(tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256")
    pem = tmp_path / "officer.pem"
    pem.write_bytes(key.as_pem(private=True))
    keys = load_keys(tmp_path / "keys", pem)
    assert list(keys.trusted) == [key.thumbprint()]
    pem.write_bytes(key.as_pem(private=False))
    with pytest.raises(BadConfiguration, match="no private part"):
        load_keys(tmp_path / "keys", pem)
    pem.write_bytes(ECKey.generate_key("P-384").as_pem(private=True))
    with pytest.raises(BadConfiguration, match="P-256"):
        load_keys(tmp_path / "keys", pem)
    pem.write_text("no key")
    with pytest.raises(BadConfiguration, match=r"officer\.pem"):
        load_keys(tmp_path / "keys", pem)


def test_without_a_place_for_a_key_reports_stay_unsigned(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    keys = load_keys(tmp_path / "keys")
    assert keys.sign(REPORT) is None
