"""Places on the Internet, and places that no door leads to. The same as `houses.internet`, for relays: what they import
is here, and little. Standard library only.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

# Where clouds tell their machines about themselves, keys among it, beside what is link-local; at the end a translator's
# own addresses, which may stand for any of these.
_CLOSED = tuple(
    ip_network(text)
    for text in (
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:42::42/128",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "64:ff9b:1::/48",
    )
)
_SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "fec0::/10")))  # not global either
_TRANSLATED = ip_network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether this is a place on the Internet, and no other one in disguise."""
    if meant(address) != address or any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not is_closed(address)


def is_closed(address: Address) -> bool:
    """Whether nobody is led there, not even where addresses inside may be reached."""
    address = meant(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return True
    return any(address in network for network in _CLOSED)


def meant(address: Address) -> Address:
    """Where it leads, through translators and tunnels."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, address))[1]
