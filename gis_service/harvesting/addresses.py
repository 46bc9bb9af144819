"""Which addresses a registered source may lead to; each is checked before it is connected to."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from layers.errors import BadInput, Unavailable

_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "100.100.100.200/32", "fe80::/10", "fd00:ec2::254/128",
                 "0.0.0.0/8", "224.0.0.0/4", "ff00::/8", "::/128")
)  # fmt: skip
"""Addresses that no registration opens: metadata of clouds, link-local, multicast."""
_TRANSLATED: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
                                            "2001::/32", "100.64.0.0/10")
)  # fmt: skip
"""Not "private" by Python's word, and yet ways into networks that are."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached for one source: its host and port, and which addresses they may be."""

    host: str
    port: int
    networks: tuple[str, ...] = ()

    def addresses(self) -> tuple[str, ...]:
        """The checked addresses of the host, resolved now; one that is not admitted refuses all."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable(
                f"The name {self.host} cannot be resolved.",
                f"无法解析主机名 {self.host}。",
                code="host-unknown",
            ) from error
        texts = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        for text in texts:
            if not self._admits(ipaddress.ip_address(text)):
                raise BadInput(
                    f"{self.host} leads to an address that is not registered for this source; "
                    "state its network under 'networks' if that is meant.",
                    f"{self.host} 指向未为该数据源登记的地址；"
                    "如确属预期，请在 networks 中登记网段。",
                    code="address-not-admitted",
                )
        return texts

    def _admits(self, address: Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped is not None:
            address = mapped
        if any(address in network for network in _NEVER):
            return False
        if self.networks:
            return any(address in ipaddress.ip_network(text) for text in self.networks)
        if self._stated() == address:
            return True
        return address.is_global and not any(address in network for network in _TRANSLATED)

    def _stated(self) -> Address | None:
        """The address that the registered location itself is, written out in full."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None
