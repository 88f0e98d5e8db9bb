"""A server for doors to lead to: it remembers what it was asked, and answers as the test says."""

import socket
from threading import Thread


class Upstream:
    """One connection after another, each in a thread; `answer` gets the request and the connection."""

    def __init__(self, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", tls=None):
        self.answer, self.asked, self.gone = answer, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.tls = tls
        Thread(target=self._serve, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, accepted):
        try:
            with self.tls.wrap_socket(accepted, server_side=True) if self.tls else accepted as connection:
                request = read_request(connection)
                self.asked.append(request)
                if callable(self.answer):
                    self.answer(request, connection)
                else:
                    connection.sendall(self.answer)
        except OSError as error:
            self.gone.append(error)


class Request:
    """What came: its first line, its headers by small names, its body."""

    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            self.headers.setdefault(name.lower(), []).append(value)
        self.body = body

    def header(self, name):
        return ", ".join(self.headers.get(name, []))


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += got(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    request = Request(head, body)
    if request.header("transfer-encoding") == "chunked":
        while not request.body.endswith(b"0\r\n\r\n"):
            request.body += got(connection)
    while len(request.body) < int(request.header("content-length") or 0):
        request.body += got(connection)
    return request


def got(connection):
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionAbortedError
    return data
