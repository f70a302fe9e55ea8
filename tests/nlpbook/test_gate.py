"""동시에 들어오는 일의 수를 막는 문."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import ServiceUnavailable

from nlpbook.gate import Turnstile


def test_the_turnstile_lets_in_only_so_many():
    turnstile = Turnstile(2)
    turnstile.enter()
    turnstile.enter()
    with pytest.raises(ServiceUnavailable, match="잠시 뒤"):
        turnstile.enter()
    turnstile.leave()
    turnstile.enter()


def test_leaving_twice_makes_no_extra_room():
    turnstile = Turnstile(1)
    with pytest.raises(ValueError):
        turnstile.leave()


def test_a_block_leaves_its_place_even_after_an_error():
    turnstile = Turnstile(1)
    with pytest.raises(RuntimeError), turnstile:
        raise RuntimeError
    with turnstile, pytest.raises(ServiceUnavailable):
        turnstile.enter()
