"""Cookies that only programs with the same secret can read or write."""

import base64
from hashlib import scrypt
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from msgspec import Struct

from fabric_jobs.runtime.settings import Secret

_Content = TypeVar("_Content", bound=Struct)


class SealedCookies:
    """Encrypts the content of cookies, with its time, under a key that is derived from a secret."""

    def __init__(self, secret: Secret, name: str) -> None:
        """Cookies of another `name` can't be read, although the secret is the same."""
        # A slow key derivation, because somebody with a cookie can test secrets against it offline.
        salt = f"fabric-jobs monitor {name}".encode()
        key = scrypt(secret.reveal().encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, content: Struct) -> str:
        """Returns a cookie with this content."""
        return self._cipher.encrypt(msgspec.json.encode(content)).decode()

    def open(self, cookie: str, kind: type[_Content], max_age_s: int) -> _Content | None:
        """Returns the content; None if it is forged, of another kind, or older than `max_age_s`."""
        try:
            return msgspec.json.decode(self._cipher.decrypt(cookie.encode(), max_age_s), type=kind)
        except (InvalidToken, msgspec.DecodeError):
            return None
