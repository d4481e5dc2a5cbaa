"""Socket addresses in settings."""

import pytest

from fabric_jobs.runtime.settings import SettingsError, address_of, addresses, host_port


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:5001", ("::1", 5001)),
        ("facade.example.org:65535", ("facade.example.org", 65535)),
    ],
)
def test_host_port_of_an_address_is_the_inverse_of_address_of(
    address: str, parts: tuple[str, int]
) -> None:
    """Names, IPv4 addresses and bracketed IPv6 addresses are accepted."""
    assert host_port(address) == parts
    assert address_of(*parts) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", "localhost", ":5000", "localhost:", "localhost:http", "localhost:65536"),
        *("localhost:-1", "localhost:²", "localhost:①", "[]:5000"),
        f"localhost:{'9' * 5000}",
    ],
)
def test_host_port_of_a_malformed_address_raises_settings_error(address: str) -> None:
    """The message shows the text and the expected form. Unicode digits are refused too."""
    with pytest.raises(SettingsError, match="is not HOST:PORT"):
        host_port(address)


def test_addresses_with_blanks_and_a_final_comma_returns_each_address() -> None:
    """A template's loop may write a comma after the last address."""
    assert addresses("a:1, b:2,") == ("a:1", "b:2")
