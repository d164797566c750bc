"""A server that answers with bytes as they are, for what no well-kept server would send."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request on 127.0.0.1 with ``answer``, ``pause`` seconds after each byte."""

    most = 1000
    """Requests that one connection is good for."""
    last = b""
    """What the next one gets before the connection is closed."""

    def __init__(self, answer: bytes, pause: float = 0.0) -> None:
        self.answer = answer
        self.pause = pause
        self.connections = 0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answered = 0
            while request := sock.recv(65536):
                self.requests.append(request)
                if answered == self.most:
                    sock.sendall(self.last)
                    sock.shutdown(socket.SHUT_RDWR)
                    return
                answered += 1
                if not self.pause:
                    sock.sendall(self.answer)
                    if b"Connection: close" in self.answer:
                        sock.shutdown(socket.SHUT_RDWR)
                    continue
                for byte in self.answer:
                    sock.sendall(bytes([byte]))
                    time.sleep(self.pause)
