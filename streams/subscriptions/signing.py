"""What shows that a wake comes from here, and that a callback answers one: an Ed25519 signature and a token."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Token:
    """Of which life of a subscription, and which of its wakes, somebody holds the token."""

    birth: str
    generation: int


class Keys:
    """The server's two keys: one signs for everybody to check, the other for itself."""

    def __init__(self, told: dict[str, str]) -> None:
        self._signing = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(told["ed25519"]))
        self._tokens = urlsafe_b64decode(told["tokens"])
        public = _text(self._signing.public_key().public_bytes_raw())
        # The thumbprint of RFC 7638: names in order and no blanks.
        thumbprint = orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": public})
        self.kid = f"ds_{_text(sha256(thumbprint).digest())}"
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    @staticmethod
    def new() -> dict[str, str]:
        """Two new keys, as they are kept."""
        return {name: urlsafe_b64encode(token_bytes(32)).decode() for name in ("ed25519", "tokens")}

    def signature(self, body: bytes, now: float) -> str:
        """`t=SECONDS,kid=KEY,ed25519=SIGNATURE`, the signature over `SECONDS.BODY`."""
        signed = self._signing.sign(b"%d." % int(now) + body)
        return f"t={int(now)},kid={self.kid},ed25519={_text(signed)}"

    def token(self, subscription: str, token: Token) -> str:
        """Without secrets of its own: nothing has to be kept for it."""
        said = f"{token.birth}.{token.generation}"
        return f"{said}.{self._seal(subscription, said)}"

    def read(self, subscription: str, text: str) -> Token | None:
        """What a token says, if it was given out here for this subscription."""
        said, _, seal = text.rpartition(".")
        if not text.isascii() or not hmac.compare_digest(seal, self._seal(subscription, said)):
            return None
        birth, _, generation = said.rpartition(".")
        return Token(birth, int(generation))

    def _seal(self, subscription: str, said: str) -> str:
        return _text(hmac.digest(self._tokens, f"{subscription} {said}".encode(), "sha256"))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
