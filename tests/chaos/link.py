"""A link between a worker (or a client) and the coordinator that can be cut and slowed down.

A program of its own, so that it can run in a network namespace:

    python3 link.py HOST PORT_FILE

It listens at HOST, prints its port, and forwards each connection to 127.0.0.1 at the port that PORT_FILE
holds at that moment. Lines on standard input: `cut` (nothing gets through, nothing is closed), `delay
MILLISECONDS` (each way), `heal`.
"""

import socket
import sys
import threading
import time

CHUNK = 65536


class Link:
    def __init__(self, host: str, port_file: str) -> None:
        self._port_file = port_file
        self._delay = 0.0
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]

    def obey(self, line: str) -> None:
        words = line.split()
        if words[0] == "cut":
            self._open.clear()
        elif words[0] == "delay":
            self._delay = float(words[1]) / 1e3
        elif words[0] == "heal":
            self._delay = 0.0
            self._open.set()

    def serve(self) -> None:
        while True:
            near, _ = self._listener.accept()
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._open.wait()
        try:
            with open(self._port_file, encoding="ascii") as file:
                far = socket.create_connection(("127.0.0.1", int(file.read())))
        except (OSError, ValueError):
            near.close()
            return
        for pair in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK):
                if self._delay:
                    time.sleep(self._delay)
                self._open.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def main() -> None:
    link = Link(sys.argv[1], sys.argv[2])
    print(link.port, flush=True)
    threading.Thread(target=link.serve, daemon=True).start()
    for line in sys.stdin:
        link.obey(line)


if __name__ == "__main__":
    main()
