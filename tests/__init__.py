"""Tests on real parts: PostgreSQL, Valkey, uvicorn, sockets and boxes."""

import pytest

pytest.register_assert_rewrite("tests.helpers")
