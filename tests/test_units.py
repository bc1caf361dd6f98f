"""Bytes in the words of people."""

from runtime_lib.units import GIB, amount, from_gib, gib


def test_bytes_are_written_in_the_unit_that_fits():
    assert gib(16 * GIB) == "16.0 GiB"
    assert gib(1.5 * GIB, digits=2) == "1.50 GiB"
    assert gib(2048 * GIB) == "2,048.0 GiB"
    assert (amount(GIB), amount(GIB - 1), amount(2**20)) == ("1.0 GiB", "1,024.0 MiB", "1.0 MiB")


def test_a_part_of_a_byte_is_left_out():
    assert from_gib(0.3) == int(0.3 * 2**30)
    assert from_gib(2**20) == 2**50
