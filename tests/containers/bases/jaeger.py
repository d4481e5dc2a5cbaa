"""A stand-in for Jaeger: takes traces by OTLP over HTTP, and prints a line for each request."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector(BaseHTTPRequestHandler):
    """Answers every POST with an empty success."""

    def do_POST(self) -> None:
        """Takes what was sent."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(f"took {self.path} {len(body)} bytes")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", 4318), Collector).serve_forever()
