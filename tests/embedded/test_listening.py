"""The socket that the API processes share."""

import socket

from app.embedded.supervisor import listen


def test_answers_are_sent_at_once() -> None:
    """Otherwise each answer's second piece waits 40 ms for the client's acknowledgement of the first."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
