import pytest

from chatvault.addresses import holder_of, plain


class TestHolderOf:
    @pytest.mark.parametrize(
        ("address", "holder"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("/tmp/a.sock", "/tmp/a.sock"),
            ("", "local"),
            (None, "local"),
        ],
    )
    def test_is_an_address_or_a_network(self, address: str | None, holder: str) -> None:
        assert holder_of(address) == holder


class TestPlain:
    @pytest.mark.parametrize(
        ("address", "written"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("::FFFF:192.0.2.7", "192.0.2.7"),
            ("::ffff:nonsense", "::ffff:nonsense"),
            ("2001:db8::1", "2001:db8::1"),
            (None, None),
        ],
    )
    def test_takes_ipv4_out_of_ipv6(self, address: str | None, written: str | None) -> None:
        assert plain(address) == written
