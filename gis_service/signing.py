"""Signatures of reports: JWS (RFC 7515), ES256, over the report's number, time and digest.

The digest covers the content of a report; the signature says that this service issued that
content under this number at this time. Keys are JWK files (RFC 7517) in one folder: the private
one signs, every other ``*.jwk`` there is a public key of before that is still trusted. A key is
named by its thumbprint (RFC 7638), so a report finds the key that signed it.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from layers.errors import BadConfiguration

_ALGORITHMS: Final = ["ES256"]
"""Named at every use: a token must never choose how it is verified."""
_SIGNED: Final = ("report_id", "created", "digest", "outcome")
_LONGEST_TOKEN: Final = 4_096
_OWN_KEY: Final = "report-signing.jwk"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Whether a signature is good; ``fault`` is a short code where it is not."""

    good: bool
    fault: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReportKeys:
    """The key that signs (None = reports stay unsigned) and the public keys that are trusted."""

    signing: ECKey | None
    trusted: Mapping[str, ECKey]

    def sign(self, report: Mapping[str, Any]) -> str | None:
        """The compact JWS of a report; None without a key."""
        if self.signing is None:
            return None
        header = {"alg": "ES256", "kid": self.signing.thumbprint(), "typ": "conflict-report"}
        payload = json.dumps({name: report[name] for name in _SIGNED}, separators=(",", ":"))
        return jws.serialize_compact(header, payload, self.signing, _ALGORITHMS)

    def check(self, report: Mapping[str, Any]) -> SignatureCheck:
        """Verify the signature that a report carries; never raises for a bad one."""
        token = report.get("signature")
        if token is None:
            return SignatureCheck(False, "unsigned")
        if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
            return SignatureCheck(False, "malformed")
        try:
            key_id = jws.extract_compact(token.encode()).headers().get("kid")
            key = self.trusted.get(key_id) if isinstance(key_id, str) else None
            if key is None:
                return SignatureCheck(False, "unknown-key", str(key_id)[:64])
            payload = json.loads(jws.deserialize_compact(token, key, _ALGORITHMS).payload)
        except (JoseError, ValueError, TypeError, AttributeError):
            return SignatureCheck(False, "bad-signature")
        if payload != {name: report.get(name) for name in _SIGNED}:
            return SignatureCheck(False, "of-another-report", key_id)
        return SignatureCheck(True, None, key_id)

    def public_set(self) -> dict[str, Any]:
        """The public keys as a JWK set, for who verifies elsewhere."""
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": key_id, "alg": "ES256", "use": "sig"}
                for key_id, key in sorted(self.trusted.items())
            ]
        }


def load_keys(folder: Path, signing_key_file: Path | None = None) -> ReportKeys:
    """The keys of a folder; the signing key is made on first use, readable by its owner only.

    ``signing_key_file`` (PEM or JWK, EC P-256) takes the place of the folder's own key. Where
    neither can be had, reports stay unsigned and the log says so.
    """
    own = signing_key_file or _own_key(folder)
    signing = None if own is None else _read(own)
    if own is not None and signing is not None and not signing.is_private:
        raise BadConfiguration(
            f"{own.name}: the signing key holds no private part.",
            f"签名密钥 {own.name} 不含私钥部分。",
        )
    keys = [signing] if signing is not None else []
    if folder.is_dir():
        keys += [_read(path) for path in sorted(folder.glob("*.jwk")) if path != own]
    return ReportKeys(signing, {key.thumbprint(): _public(key) for key in keys})


def _own_key(folder: Path) -> Path | None:
    path = folder / _OWN_KEY
    if path.is_file():
        return path
    key = ECKey.generate_key("P-256", private=True)
    fresh = folder / f".{_OWN_KEY}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)
        _settle(fresh, path)
    except OSError as error:
        _log.warning("no signing key in %s: %s; reports stay unsigned", folder.name, error.strerror)
        return None
    return path


def _settle(fresh: Path, path: Path) -> None:
    """The first of several processes wins; a link never overwrites."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _read(path: Path) -> ECKey:
    try:
        text = path.read_text("utf-8")
        value: Any = json.loads(text) if text.lstrip().startswith("{") else text
        key = ECKey.import_key(value)
    except (OSError, ValueError, TypeError, JoseError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadConfiguration(
            f"{path.name} is no EC key in PEM or JWK form ({reason}).",
            f"{path.name} 不是 PEM 或 JWK 形式的 EC 密钥（{reason}）。",
        ) from error
    if key.curve_name != "P-256":
        raise BadConfiguration(
            f"{path.name}: the curve must be P-256.", f"{path.name}：曲线必须为 P-256。"
        )
    return key


def _public(key: ECKey) -> ECKey:
    return ECKey.import_key(key.as_dict(private=False))
