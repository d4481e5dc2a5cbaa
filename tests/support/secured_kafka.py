"""An Apache Kafka with authentication and ACLs."""

import re
from pathlib import Path
from typing import Any

import confluent_kafka.admin
from msgspec import Struct

from tests.support.apache_kafka import HOST, ApacheKafka, reserve_port
from tests.support.certificates import Authority

#: Its users, who all have the same password.
USERS = ("facade", "executor", "subscriber")
PASSWORD = "correct horse"
_ANSWER_S = 20
_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_kafka: Any = confluent_kafka.admin  # its annotations lack most of it

_ANYTHING = _kafka.AclBindingFilter(
    _kafka.ResourceType.ANY,
    None,
    _kafka.ResourcePatternType.ANY,
    None,
    None,
    _kafka.AclOperation.ANY,
    _kafka.AclPermissionType.ANY,
)


class Acl(Struct, frozen=True):
    """An operation that a user may do on a topic or group."""

    user: str
    operation: str
    kind: str
    name: str

    def binding(self) -> Any:
        """The ACL as an object of the admin client."""
        words = re.findall("[A-Z][a-z]+", self.operation)
        return _kafka.AclBinding(
            _kafka.ResourceType[self.kind.upper()],
            self.name,
            _kafka.ResourcePatternType.LITERAL,
            f"User:{self.user}",
            "*",
            _kafka.AclOperation["_".join(words).upper()],
            _kafka.AclPermissionType.ALLOW,
        )


class SecuredKafka(ApacheKafka):
    """One broker with three listeners for the same topics.

    The listener `bootstrap_servers` is plaintext and allows everything, for the broker itself and
    the tests. The listeners under test are `sasl_servers` (SASL_SSL with SCRAM and PLAIN) and
    `ssl_servers` (SSL with client certificates).
    """

    _formatting = tuple(
        f"--add-scram={mechanism}=[name={user},password={PASSWORD}]"
        for user in USERS
        for mechanism in _MECHANISMS
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.authority = Authority(folder / "authority")
        sasl, ssl = reserve_port(), reserve_port()
        self._reservations += [sasl, ssl]
        self.sasl_servers, self.ssl_servers = (
            f"{HOST}:{reserved.getsockname()[1]}" for reserved in (sasl, ssl)
        )

    def allow(self, *acls: Acl) -> None:
        """Allow exactly these operations. An ACL that stays is in force all the time."""
        admin = _kafka.AdminClient({"bootstrap.servers": self.bootstrap_servers})
        wanted = [acl.binding() for acl in acls]
        for change in admin.create_acls(wanted, request_timeout=_ANSWER_S).values():
            change.result()
        found = admin.describe_acls(_ANYTHING, request_timeout=_ANSWER_S).result()
        surplus = [_filter(binding) for binding in found if binding not in wanted]
        if surplus:
            for change in admin.delete_acls(surplus, request_timeout=_ANSWER_S).values():
                change.result()

    def use(self, authority: Authority) -> None:
        """Restart the broker with a certificate of another authority, the only one it trusts."""
        self.authority = authority
        settings = self._settings(0).items()
        self._properties(0).write_text("".join(f"{k}={v}\n" for k, v in settings))
        self.restart(0)

    def _settings(self, node: int) -> dict[str, object]:
        settings = super()._settings(node)
        server = self.authority.server()
        store = self._folder / "store.pem"
        store.write_bytes(server.key.read_bytes() + server.cert.read_bytes())
        accounts = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        sasl, login = "listener.name.sasl_ssl", "org.apache.kafka.common.security"
        return settings | {
            "listeners": f"{settings['listeners']},SASL_SSL://{self.sasl_servers},"
            f"SSL://{self.ssl_servers}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASL_SSL:SASL_SSL,SSL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.ca,
            "listener.name.ssl.ssl.client.auth": "required",
            f"{sasl}.sasl.enabled.mechanisms": ",".join(("PLAIN", *_MECHANISMS)),
            f"{sasl}.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required "
            f"{accounts};",
            **{
                f"{sasl}.{mechanism.lower()}.sasl.jaas.config": f"{login}.scram.ScramLoginModule "
                "required;"
                for mechanism in _MECHANISMS
            },
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


def _filter(binding: Any) -> Any:
    """The filter that matches only this binding."""
    return _kafka.AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
