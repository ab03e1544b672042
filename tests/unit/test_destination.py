"""Addresses that anybody may name lead to people's servers, not to the machine or its cloud."""

import pytest

from model.destination import Reach, check_origin, refusal
from model.failure import UserFailure

VOUCHED = Reach(hosts=("git.internal", "gitea.local:3000"), private=False)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "no address",
    ],
)
def test_link_local_metadata_and_the_like_are_refused_whoever_vouches(address: str) -> None:
    assert refusal("git.internal", 443, address, VOUCHED)
    assert refusal("git.example", 443, address, Reach())


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "metadata"])
def test_metadata_names_are_refused_wherever_they_lead(host: str) -> None:
    assert refusal(host, 80, "93.184.216.34", Reach(hosts=(host,)))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_the_own_machine_is_spoken_to_only_for_hosts_that_the_operator_names(address: str) -> None:
    assert refusal("git.example", 443, address, Reach())
    assert refusal("gitea.local", 3001, address, VOUCHED)
    assert not refusal("GITEA.local", 3000, address, VOUCHED)
    assert not refusal("git.internal", 8080, address, VOUCHED)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "fd12::1"])
def test_private_networks_are_open_until_the_operator_closes_them(address: str) -> None:
    assert not refusal("git.example", 443, address, Reach())
    assert refusal("git.example", 443, address, Reach(private=False))
    assert not refusal("git.internal", 443, address, VOUCHED)


@pytest.mark.parametrize("address", ["140.82.121.4", "2606:50c0:8000::153"])
def test_public_addresses_are_spoken_to(address: str) -> None:
    assert not refusal("github.com", 443, address, Reach(private=False))


def test_an_origin_is_scheme_host_and_port() -> None:
    assert check_origin("https://API.github.com/repos?x=1") == ("https", "api.github.com", 443)
    assert check_origin("http://[fe80::1]:3000/") == ("http", "fe80::1", 3000)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "file:///etc/passwd",
        "//x",
        "",
        "https://",
        "https://u:canary@x/",
        "https://u@x/",
        "http://x:y/",
    ],
)
def test_what_is_no_plain_http_address_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(UserFailure) as caught:
        check_origin(url)
    assert caught.value.reason == "BadAddress"
    assert "canary" not in str(caught.value)
