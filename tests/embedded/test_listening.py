"""The socket that the API processes share."""

import socket

from app.embedded.supervisor import listen


def test_answers_are_sent_at_once() -> None:
    """Without TCP_NODELAY the second packet of each answer waits 40 ms for the client's acknowledgement."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
