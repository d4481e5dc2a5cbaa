"""Genuine and forged headers of Fabric, and an authority that counts its requests."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography.hazmat.primitives import serialization
from jwt.algorithms import RSAAlgorithm
from msgspec import Struct

from fabric_jobs.cli.dev.issuer import (
    CLIENT_ID,
    FABRIC_APP_ID,
    PUBLISHER_TENANT,
    Issuer,
    SigningKey,
    Version,
)

TENANT = "c0000000-0000-4000-8000-00000000000a"
OTHER_TENANT = "c0000000-0000-4000-8000-00000000000b"
OTHER_FABRIC_APP_ID = "d2450708-699c-41e3-8077-b0c8341509aa"
STRANGE_APP_ID = "5e000000-0000-4000-8000-000000000001"
#: Longer than a token may be.
TOO_LONG = "A" * 17_000

#: The values of the Authorization header, and those of the tenant header.
Sent = tuple[list[str], list[str]]
Claims = dict[str, Any]


class BoundKey(SigningKey):
    """A key that is published as one issuer's own."""

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self.issuer = issuer

    def public(self) -> dict[str, Any]:
        """The key as the authority publishes it."""
        return super().public() | {"issuer": self.issuer}


class Authority(Issuer):
    """The local issuer, which keeps the paths of its requests and can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.down = False
        #: Published keys of an unknown issuer and of every tenant's issuer, and an unpublished key.
        self.bound = BoundKey("https://login.example.org/{tenantid}/v2.0")
        self.general = BoundKey(f"{self.authority}/{{tenantid}}/v2.0")
        self.stranger = SigningKey()
        # The last key signs.
        self.keys = [self.bound, self.general, *self.keys]

    @property
    def key_fetches(self) -> int:
        """The number of requests for the keys."""
        return self.requests.count("/common/discovery/keys")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers as the issuer does, or with 503 if it is down."""
        self.requests.append(request.path)
        if self.down:
            request.send_error(503)
        else:
            super().answer(request)


class Instead(Enum):
    """What a claim is replaced by."""

    #: The claim is absent.
    GONE = auto()
    #: The claim of a token of the other version.
    OTHER_VERSION = auto()
    #: The claim of the other one of the two tokens.
    OTHER_TOKEN = auto()


GONE, OTHER_VERSION, OTHER_TOKEN = Instead
Sign = Callable[[Authority, Claims], str]


def genuine(authority: Authority, claims: Claims) -> str:
    """Signed by the authority's newest key."""
    return signed_by(authority.keys[-1], claims)


def as_fabric(app: str, subject: str) -> list[str]:
    """The values of the Authorization header, as Fabric sends them: one."""
    return [f'SubjectAndAppToken1.0 subjectToken="{subject}", appToken="{app}"']


class Row(Struct, frozen=True, kw_only=True):
    """A request's two headers as Fabric sends them, except for the fields that are set here."""

    #: Changed claims, each to a value, by a function of the right value, or as `Instead` says.
    app: Claims = {}
    subject: Claims = {}
    app_version: Version = "2.0"
    subject_version: Version = "2.0"
    sign_app: Sign = genuine
    sign_subject: Sign = genuine
    authorization: Callable[[str, str], list[str]] = as_fabric
    tenants: tuple[str, ...] = (TENANT,)
    #: A regular expression that the error's message must match.
    because: str = ""

    def sent(self, authority: Authority) -> Sent:
        """The values of the two headers, with tokens that are issued now."""

        def app(version: Version) -> Claims:
            return authority.app_claims(version)

        def subject(version: Version) -> Claims:
            return authority.subject_claims(TENANT, version)

        app_claims = _changed(self.app, app, subject, self.app_version)
        subject_claims = _changed(self.subject, subject, app, self.subject_version)
        tokens = self.sign_app(authority, app_claims), self.sign_subject(authority, subject_claims)
        return self.authorization(*tokens), list(self.tenants)


def _changed(
    changes: Claims,
    these: Callable[[Version], Claims],
    those: Callable[[Version], Claims],
    version: Version,
) -> Claims:
    claims = these(version)
    for name, change in changes.items():
        match change:
            case Instead.GONE:
                del claims[name]
            case Instead.OTHER_VERSION:
                claims[name] = these("1.0" if version == "2.0" else "2.0")[name]
            case Instead.OTHER_TOKEN:
                claims[name] = those(version)[name]
            case _:
                claims[name] = change(claims.get(name)) if callable(change) else change
    return claims


def seconds(after: int) -> Callable[[object], int]:
    """A claim of a time so many seconds from now."""
    return lambda _: int(time.time()) + after


def header_of(key: SigningKey) -> dict[str, Any]:
    """The header of a genuine token."""
    return {"typ": "JWT", "alg": "RS256", "kid": key.key_id}


def token(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token. It is made by hand, because a library refuses to make a wrong one."""
    parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
    return f"{'.'.join(parts)}.{_base64(sign('.'.join(parts).encode()))}"


def rs256(key: SigningKey) -> Callable[[bytes], bytes]:
    """A function that signs by the key."""
    return lambda text: RSAAlgorithm(RSAAlgorithm.SHA256).sign(text, key.private)


def signed_by(key: SigningKey, claims: Any) -> str:
    """A token with these claims and a right signature."""
    return token(header_of(key), claims, rs256(key))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def with_header(**changes: Any) -> Sign:
    """Signed by the right key, with a changed header; `GONE` removes a field."""

    def sign(authority: Authority, claims: Claims) -> str:
        key = authority.keys[-1]
        header = header_of(key) | changes
        header = {name: value for name, value in header.items() if value is not GONE}
        return token(header, claims, rs256(key))

    return sign


def by_bound_key(authority: Authority, claims: Claims) -> str:
    """Signed by a published key of another issuer."""
    return signed_by(authority.bound, claims)


def by_general_key(authority: Authority, claims: Claims) -> str:
    """Signed by a published key that is valid for every tenant's v2 issuer."""
    return signed_by(authority.general, claims)


def by_unknown_key(authority: Authority, claims: Claims) -> str:
    """Signed by an unpublished key."""
    return signed_by(authority.stranger, claims)


def by_stranger(authority: Authority, claims: Claims) -> str:
    """Signed by an unpublished key, with the id of a published one."""
    return token(header_of(authority.keys[-1]), claims, rs256(authority.stranger))


def by_key_in_header(authority: Authority, claims: Claims) -> str:
    """Signed by a key that is in the token's own header."""
    header = header_of(authority.keys[-1]) | {"jwk": authority.stranger.public()}
    return token(header, claims, rs256(authority.stranger))


def unsigned(authority: Authority, claims: Claims) -> str:
    """Without a signature, and its algorithm is `none`."""
    return token(header_of(authority.keys[-1]) | {"alg": "none"}, claims, lambda _: b"")


def no_signature(authority: Authority, claims: Claims) -> str:
    """Without a signature, though its algorithm is RS256."""
    return token(header_of(authority.keys[-1]), claims, lambda _: b"")


def by_public_key(authority: Authority, claims: Claims) -> str:
    """Signed by HS256 with the public key as the secret, which anybody can do."""
    key = authority.keys[-1]
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = header_of(key) | {"alg": "HS256"}
    return token(header, claims, lambda text: hmac.digest(pem, text, "sha256"))


def by_rs384(authority: Authority, claims: Claims) -> str:
    """Signed by the right key with another algorithm."""
    key = authority.keys[-1]
    other = RSAAlgorithm(RSAAlgorithm.SHA384)
    header = header_of(key) | {"alg": "RS384"}
    return token(header, claims, lambda text: other.sign(text, key.private))


def changed_after(authority: Authority, claims: Claims) -> str:
    """Changed after it was signed: it expires one second later."""
    header, _, signature = genuine(authority, claims).split(".")
    later = json.dumps(claims | {"exp": claims["exp"] + 1}).encode()
    return f"{header}.{_base64(later)}.{signature}"


def of_a_list(authority: Authority, claims: Claims) -> str:
    """Signed by the right key, with a list as its payload."""
    return signed_by(authority.keys[-1], [claims])


_TEXTS: Claims = {
    "a list": lambda right: [right, right],
    "a number": 7,
    "true": True,
    "null": None,
    "an object": lambda right: {"value": right},
}
_TIMES: Claims = {
    "a list": lambda right: [right],
    "a text": str,
    "true": True,
    "null": None,
    "an object": lambda right: {"value": right},
}
_NEEDED = {
    "app": ("exp", "nbf", "iss", "aud", "tid", "ver", "oid", "idtyp"),
    "subject": ("exp", "nbf", "iss", "aud", "tid", "ver", "scp"),
}
_APP_ID: dict[Version, str] = {"1.0": "appid", "2.0": "azp"}


def _each_needed_claim() -> dict[str, Row]:
    """A row for each required claim of each token and version, and for each way to spoil it."""
    rows: dict[str, Row] = {}
    for version, app_id in _APP_ID.items():
        for kind, claims in _NEEDED.items():
            for claim in (*claims, app_id):
                values = {"missing": GONE} | (_TIMES if claim in ("exp", "nbf") else _TEXTS)
                for how, value in values.items():
                    changes = {
                        kind: {claim: value},
                        f"{kind}_version": version,
                        "because": rf"^The {kind} token.*({claim}|no app\b)",
                    }
                    rows[f"{kind} {version}: {claim} is {how}"] = Row(**changes)  # type: ignore[arg-type]
    return rows


#: Headers that are not Fabric's, by name. Each must be refused for the reason of its row.
FORGED: dict[str, Row] = {
    **_each_needed_claim(),
    # The app token's subject.
    "app: idtyp is user": Row(app={"idtyp": "user"}, because="app token's idtyp"),
    "app: idtyp in capitals": Row(app={"idtyp": "APP"}, because="app token's idtyp"),
    "app: idtyp is empty": Row(app={"idtyp": ""}, because="app token's idtyp"),
    "app: oid is empty": Row(app={"oid": ""}, because="app token has no oid"),
    "app: has scp": Row(app={"scp": "FabricWorkloadControl"}, because="app token must have no scp"),
    "app: has an empty scp": Row(app={"scp": ""}, because="app token must have no scp"),
    "app: scp is a list": Row(app={"scp": ["FabricWorkloadControl"]}, because="app token.*scp"),
    "app: another app, 1.0": Row(
        app={"appid": STRANGE_APP_ID},
        subject={"appid": STRANGE_APP_ID},
        app_version="1.0",
        subject_version="1.0",
        because="app token's app is not Fabric",
    ),
    "app: another app, 2.0": Row(
        app={"azp": STRANGE_APP_ID},
        subject={"azp": STRANGE_APP_ID},
        because="app token's app is not Fabric",
    ),
    "app: the workload's own": Row(
        app={"azp": CLIENT_ID}, subject={"azp": CLIENT_ID}, because="app token's app is not Fabric"
    ),
    "app: app id is no GUID": Row(
        app={"azp": "Fabric"}, because="app token's app id is not a GUID"
    ),
    "app: app id is empty": Row(app={"azp": ""}, because="app token's app id is not a GUID"),
    "app: of another publisher's tenant": Row(
        app={
            "tid": OTHER_TENANT,
            "iss": lambda right: right.replace(PUBLISHER_TENANT, OTHER_TENANT),
        },
        because="app token's tenant is not the publisher's",
    ),
    "app: of the customer's tenant": Row(
        app={"tid": OTHER_TOKEN, "iss": OTHER_TOKEN},
        because="app token's tenant is not the publisher's",
    ),
    # The subject token's subject.
    "subject: idtyp is app": Row(subject={"idtyp": "app"}, because="subject token must.*no idtyp"),
    "subject: idtyp is user": Row(subject={"idtyp": "user"}, because="subject token.*no idtyp"),
    "subject: idtyp is empty": Row(subject={"idtyp": ""}, because="subject token.*no idtyp"),
    "subject: idtyp is a list": Row(subject={"idtyp": ["user"]}, because="subject token.*idtyp"),
    "subject: scp is empty": Row(subject={"scp": ""}, because="subject token's scp"),
    "subject: scp goes on": Row(
        subject={"scp": "User.Read FabricWorkloadControlX"}, because="subject token's scp"
    ),
    "subject: scp begins before": Row(
        subject={"scp": "XFabricWorkloadControl User.Read"}, because="subject token's scp"
    ),
    "subject: scp with commas": Row(
        subject={"scp": "FabricWorkloadControl,User.Read"}, because="subject token's scp"
    ),
    "subject: scp in small letters": Row(
        subject={"scp": "fabricworkloadcontrol"}, because="subject token's scp"
    ),
    "subject: roles for scp": Row(
        subject={"scp": GONE, "roles": ["FabricWorkloadControl"]}, because="subject token's scp"
    ),
    "subject: the other one of Fabric's apps": Row(
        subject={"azp": OTHER_FABRIC_APP_ID}, because="subject token's app is not the app token's"
    ),
    "subject: another app": Row(
        subject={"azp": STRANGE_APP_ID}, because="subject token's app is not the app token's"
    ),
    "subject: another app, 1.0": Row(
        subject={"appid": STRANGE_APP_ID},
        subject_version="1.0",
        because="subject token's app is not the app token's",
    ),
    "subject: of the publisher's tenant": Row(
        subject={"tid": OTHER_TOKEN, "iss": OTHER_TOKEN},
        because="subject token's tenant is not that of the tenant header",
    ),
    "subject: the header says another tenant": Row(
        tenants=(OTHER_TENANT,), because="subject token's tenant is not that of the tenant header"
    ),
    # One token in place of the other.
    "tokens swapped": Row(
        authorization=lambda app, subject: as_fabric(app=subject, subject=app),
        because="app token's idtyp",
    ),
    "app token for both": Row(
        authorization=lambda app, _: as_fabric(app, app), because="subject token must have no idtyp"
    ),
    "app token for both, in its own tenant": Row(
        authorization=lambda app, _: as_fabric(app, app),
        tenants=(PUBLISHER_TENANT,),
        because="subject token must have no idtyp",
    ),
    "subject token for both": Row(
        authorization=lambda _, subject: as_fabric(subject, subject), because="app token's idtyp"
    ),
    "subject token for both, in the publisher's tenant": Row(
        authorization=lambda _, subject: as_fabric(subject, subject),
        subject={"tid": OTHER_TOKEN, "iss": OTHER_TOKEN},
        tenants=(PUBLISHER_TENANT,),
        because="app token's idtyp",
    ),
    # Version, issuer and audience belong together.
    **{
        f"{kind}: {name}": Row(**{kind: changes, f"{kind}_version": version}, because=because)  # type: ignore[arg-type]
        for kind in ("app", "subject")
        for name, version, changes, because in (
            ("ver is 3.0", "2.0", {"ver": "3.0"}, f"{kind} token's ver"),
            ("ver is 1", "1.0", {"ver": "1"}, f"{kind} token's ver"),
            ("ver is the number 2", "2.0", {"ver": 2}, rf"{kind} token's claims.*\$\.ver"),
            ("ver is the number 2.0", "2.0", {"ver": 2.0}, rf"{kind} token's claims.*\$\.ver"),
            ("ver is empty", "2.0", {"ver": ""}, f"{kind} token's ver"),
            ("1.0 that says 2.0", "1.0", {"ver": "2.0"}, f"{kind} token's issuer"),
            ("2.0 that says 1.0", "2.0", {"ver": "1.0"}, f"{kind} token's issuer"),
            ("1.0 by the issuer of 2.0", "1.0", {"iss": OTHER_VERSION}, f"{kind} token's issuer"),
            ("2.0 by the issuer of 1.0", "2.0", {"iss": OTHER_VERSION}, f"{kind} token's issuer"),
            ("1.0 for the audience of 2.0", "1.0", {"aud": OTHER_VERSION}, f"{kind}.*audience"),
            ("2.0 for the audience of 1.0", "2.0", {"aud": OTHER_VERSION}, f"{kind}.*audience"),
            (
                "1.0 with the app id of 2.0",
                "1.0",
                {"appid": GONE, "azp": FABRIC_APP_ID},
                f"{kind} token has no app id",
            ),
            (
                "2.0 with the app id of 1.0",
                "2.0",
                {"azp": GONE, "appid": FABRIC_APP_ID},
                f"{kind} token has no app id",
            ),
            ("issuer of the other token", "2.0", {"iss": OTHER_TOKEN}, f"{kind} token's issuer"),
            ("tenant of the other token", "2.0", {"tid": OTHER_TOKEN}, f"{kind} token's issuer"),
            ("issuer of nobody", "2.0", {"iss": "https://e.org/v2.0"}, f"{kind} token's issuer"),
            ("issuer goes on", "2.0", {"iss": lambda right: right + "/"}, f"{kind}.*issuer"),
            ("issuer is empty", "2.0", {"iss": ""}, f"{kind} token's issuer"),
            ("audience is another", "2.0", {"aud": STRANGE_APP_ID}, f"{kind} token's audience"),
            ("audience is Fabric", "2.0", {"aud": FABRIC_APP_ID}, f"{kind} token's audience"),
            ("audience goes on", "1.0", {"aud": lambda right: right + "/x"}, f"{kind}.*audience"),
            ("audience is empty", "2.0", {"aud": ""}, f"{kind} token's audience"),
            ("tid is no GUID", "2.0", {"tid": "contoso"}, f"{kind} token's tid is not a GUID"),
            ("tid is empty", "2.0", {"tid": ""}, f"{kind} token's tid is not a GUID"),
            # Times.
            ("expired", "2.0", {"exp": seconds(-62)}, f"{kind} token.*expired"),
            ("expired long ago", "1.0", {"exp": 1}, f"{kind} token.*expired"),
            ("exp is 0", "2.0", {"exp": 0}, f"{kind} token.*expired"),
            ("exp is no time", "2.0", {"exp": float("inf")}, f"{kind} token.*exp"),
            ("exp is beyond numbers", "2.0", {"exp": 10**400}, f"{kind} token.*exp"),
            ("not yet valid", "2.0", {"nbf": seconds(90)}, f"{kind} token.*not yet valid"),
            ("nbf is no time", "2.0", {"nbf": float("nan")}, f"{kind} token.*nbf"),
            ("issued in the future", "2.0", {"iat": seconds(90)}, f"{kind} token.*not yet valid"),
        )
    },
    # Key and signature.
    **{
        f"{kind}: {name}": Row(**{f"sign_{kind}": sign}, because=because)  # type: ignore[arg-type]
        for kind in ("app", "subject")
        for name, sign, because in (
            ("unknown key", by_unknown_key, f"{kind} token's key is not one of"),
            ("no key id", with_header(kid=GONE), f"{kind} token.*key"),
            ("empty key id", with_header(kid=""), f"{kind} token.*key"),
            ("key id is a number", with_header(kid=1), f"{kind} token.*[Kk]ey"),
            ("key id is a list", with_header(kid=[]), f"{kind} token.*[Kk]ey"),
            ("key id is no text", with_header(kid="\ud800"), f"{kind} token.*key"),
            ("a stranger's key under a known id", by_stranger, f"{kind} token.*[Ss]ignature"),
            ("a key of its own", by_key_in_header, f"{kind} token.*[Ss]ignature"),
            ("a key of another issuer", by_bound_key, f"{kind} token's key belongs to another"),
            ("unsigned", unsigned, f"{kind} token must be signed by RS256"),
            ("unsigned, in capitals", with_header(alg="NONE"), f"{kind}.*signed by RS256"),
            ("HS256 by the public key", by_public_key, f"{kind} token must be signed by RS256"),
            ("RS384", by_rs384, f"{kind} token must be signed by RS256"),
            ("said to be PS256", with_header(alg="PS256"), f"{kind}.*signed by RS256"),
            ("no algorithm", with_header(alg=GONE), f"{kind} token must be signed by RS256"),
            ("a list of algorithms", with_header(alg=["RS256"]), f"{kind}.*signed by RS256"),
            ("an unknown extension", with_header(crit=["x"], x=1), f"{kind} token.*extension"),
            ("an extension that is no text", with_header(crit=["\ud800"]), f"{kind}.*extension"),
            ("a detached payload", with_header(b64=False), f"{kind} token is not valid"),
            ("no signature", no_signature, f"{kind} token.*[Ss]ignature"),
            ("changed after it was signed", changed_after, f"{kind} token.*[Ss]ignature"),
            ("a payload that is no object", of_a_list, f"{kind} token.*payload"),
        )
    },
    # The form of the Authorization header.
    **{
        f"header: {name}": Row(authorization=made, because=because)
        for because, forms in {
            "exactly one Authorization header": {
                "none": lambda app, subject: [],
                "two": lambda app, subject: as_fabric(app, subject) * 2,
                "a right one and an empty one": lambda app, subject: [*as_fabric(app, subject), ""],
            },
            "Authorization must be: SubjectAndAppToken1.0": {
                "empty": lambda app, subject: [""],
                "only the scheme": lambda app, subject: ["SubjectAndAppToken1.0"],
                "two in one": lambda app, subject: [", ".join(as_fabric(app, subject) * 2)],
                "a letter that is s in lower case": lambda app, subject: [
                    as_fabric(app, subject)[0].replace("Sub", "\u017fub")
                ],
                "Bearer": lambda app, subject: [f"Bearer {app}"],
                "Bearer with both": lambda app, subject: [
                    as_fabric(app, subject)[0].replace("SubjectAndAppToken1.0", "Bearer")
                ],
                "another version": lambda app, subject: [
                    as_fabric(app, subject)[0].replace("1.0", "2.0", 1)
                ],
                "no scheme": lambda app, subject: [as_fabric(app, subject)[0].partition(" ")[2]],
                "no space": lambda app, subject: [as_fabric(app, subject)[0].replace(" ", "")],
                "no quotes": lambda app, subject: [as_fabric(app, subject)[0].replace('"', "")],
                "a missing quote": lambda app, subject: [as_fabric(app, subject)[0][:-1]],
                "single quotes": lambda app, subject: [
                    as_fabric(app, subject)[0].replace('"', "'")
                ],
                "no comma": lambda app, subject: [as_fabric(app, subject)[0].replace(",", "")],
                "a semicolon": lambda app, subject: [as_fabric(app, subject)[0].replace(",", ";")],
                "only the subject token": lambda app, subject: [
                    f'SubjectAndAppToken1.0 subjectToken="{subject}"'
                ],
                "an empty app token": lambda app, subject: as_fabric("", subject),
                "two empty tokens": lambda app, subject: as_fabric("", ""),
                "a third token": lambda app, subject: [
                    f'{as_fabric(app, subject)[0]}, moreToken="{app}"'
                ],
                "commas alone": lambda app, subject: ["SubjectAndAppToken1.0 , ,"],
                "two commas": lambda app, subject: [as_fabric(app, subject)[0].replace(",", ",,")],
                "text before": lambda app, subject: [f"x{as_fabric(app, subject)[0]}"],
                "text behind": lambda app, subject: [f"{as_fabric(app, subject)[0]} x"],
                "a line within": lambda app, subject: as_fabric(app, f"{subject}\n"),
                "a quote within": lambda app, subject: as_fabric(app, f'{subject}"'),
                "letters beyond ASCII": lambda app, subject: as_fabric(f"{app}é", subject),
                "digits beyond ASCII": lambda app, subject: as_fabric(f"{app}²", subject),
                "a space in a token": lambda app, subject: as_fabric(f" {app}", subject),
                "padding": lambda app, subject: as_fabric(f"{app}==", subject),
                "a null character": lambda app, subject: as_fabric(f"{app}\0", subject),
                "huge": lambda app, subject: ["x" * 60_000],
            },
            "Authorization has more than one apptoken": {
                "a token twice": lambda app, subject: [
                    f'{as_fabric(app, subject)[0]}, apptoken="{app}"'
                ],
            },
            "app token has more than 16384 characters": {
                "a huge app token": lambda app, subject: as_fabric(app + TOO_LONG, subject),
            },
            "subject token has more than 16384 characters": {
                "a huge subject token": lambda app, subject: as_fabric(app, TOO_LONG),
            },
            "app token is not valid": {
                "an app token of one part": lambda app, subject: as_fabric("x", subject),
                "an app token of two parts": lambda app, subject: as_fabric(
                    app.rpartition(".")[0], subject
                ),
                "an app token of four parts": lambda app, subject: as_fabric(f"{app}.x", subject),
                "an app token of dots": lambda app, subject: as_fabric("..", subject),
                "an app token that is no base64": lambda app, subject: as_fabric("a.b.c", subject),
                "an app token that is no JSON": lambda app, subject: as_fabric(
                    f"{_base64(b'{')}.e30.e30", subject
                ),
                "an app token that is no UTF-8": lambda app, subject: as_fabric(
                    f"{_base64(bytes([255]))}.e30.e30", subject
                ),
                "an app token whose header is a list": lambda app, subject: as_fabric(
                    f"{_base64(b'[]')}.e30.e30", subject
                ),
                "an app token that is nested": lambda app, subject: as_fabric(
                    f"{_base64(b'[' * 10_000)}.e30.e30", subject
                ),
                "an app token with a number too long": lambda app, subject: as_fabric(
                    f"{_base64(b'1' * 10_000)}.e30.e30", subject
                ),
            },
            "subject token is not valid": {
                "a subject token of one part": lambda app, subject: as_fabric(app, "x"),
                "a subject token of dots": lambda app, subject: as_fabric(app, ".."),
                "a subject token cut short": lambda app, subject: as_fabric(app, subject[:-1]),
            },
        }.items()
        for name, made in forms.items()
    },
    # The tenant header.
    "tenant: none": Row(tenants=(), because="exactly one x-ms-client-tenant-id"),
    "tenant: two": Row(tenants=(TENANT, OTHER_TENANT), because="exactly one x-ms-client-tenant-id"),
    "tenant: twice": Row(tenants=(TENANT, TENANT), because="exactly one x-ms-client-tenant-id"),
    "tenant: two in one": Row(tenants=(f"{TENANT}, {TENANT}",), because="tenant-id is not a GUID"),
    "tenant: empty": Row(tenants=("",), because="tenant-id is not a GUID"),
    "tenant: a name": Row(tenants=("contoso",), because="tenant-id is not a GUID"),
    "tenant: too short": Row(tenants=(TENANT[:-1],), because="tenant-id is not a GUID"),
    "tenant: too long": Row(tenants=(f"{TENANT}0",), because="tenant-id is not a GUID"),
    "tenant: not of hexadecimals": Row(tenants=(f"{TENANT[:-1]}g",), because="is not a GUID"),
    "tenant: letters beyond ASCII": Row(tenants=(f"{TENANT[:-1]}é",), because="is not a GUID"),
}

#: Genuine headers, by name. Each must be accepted, however unusual it is.
GENUINE: dict[str, Row] = {
    "both of 2.0": Row(),
    "both of 1.0": Row(app_version="1.0", subject_version="1.0"),
    "1.0 for the app, 2.0 for the subject": Row(app_version="1.0"),
    "2.0 for the app, 1.0 for the subject": Row(subject_version="1.0"),
    "the other one of Fabric's apps": Row(
        app={"azp": OTHER_FABRIC_APP_ID}, subject={"azp": OTHER_FABRIC_APP_ID}
    ),
    "the other one of Fabric's apps, 1.0": Row(
        app={"appid": OTHER_FABRIC_APP_ID},
        subject={"appid": OTHER_FABRIC_APP_ID},
        app_version="1.0",
        subject_version="1.0",
    ),
    "GUIDs in capitals": Row(
        app={"tid": str.upper, "azp": str.upper},
        subject={"tid": str.upper, "azp": str.upper},
        tenants=(TENANT.upper(),),
    ),
    "GUIDs in capitals, 1.0": Row(
        app={"tid": str.upper, "appid": str.upper},
        subject={"tid": str.upper, "appid": str.upper},
        app_version="1.0",
        subject_version="1.0",
        tenants=(TENANT.upper(),),
    ),
    "the app id of one in capitals": Row(
        app={"azp": OTHER_FABRIC_APP_ID}, subject={"azp": OTHER_FABRIC_APP_ID.upper()}
    ),
    "expired within the skew": Row(app={"exp": seconds(-40)}, subject={"exp": seconds(-40)}),
    "not yet valid within the skew": Row(app={"nbf": seconds(40)}, subject={"nbf": seconds(40)}),
    "times with fractions": Row(app={"exp": lambda right: right + 0.5}),
    "the scope alone": Row(subject={"scp": "FabricWorkloadControl"}),
    "the scope last": Row(subject={"scp": "User.Read FabricWorkloadControl"}),
    "claims of the other version beside": Row(app={"appid": STRANGE_APP_ID}),
    "a key of every tenant's issuer": Row(sign_app=by_general_key, sign_subject=by_general_key),
    "an audience in a list": Row(app={"aud": lambda right: [right]}),
    "the other order": Row(
        authorization=lambda app, subject: [
            f'SubjectAndAppToken1.0 appToken="{app}", subjectToken="{subject}"'
        ]
    ),
    "scheme and names in lower case": Row(
        authorization=lambda app, subject: [
            f'subjectandapptoken1.0 subjecttoken="{subject}", apptoken="{app}"'
        ]
    ),
    "spaces around the comma and a comma at the end": Row(
        authorization=lambda app, subject: [
            as_fabric(app, subject)[0].replace(",", " \t,").replace("=", " = ", 1) + " ,"
        ]
    ),
    "no space between the tokens": Row(
        authorization=lambda app, subject: [as_fabric(app, subject)[0].replace(", ", ",")]
    ),
}
