"""An OpenID Connect provider on loopback that lets everybody in as one user, without asking."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

_KEY = RSAKey.generate_key(2048, parameters={"kid": "1", "use": "sig"})


class _Provider(BaseHTTPRequestHandler):
    nonces: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        at, asked = (
            urlsplit(self.path),
            {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()},
        )
        root = f"http://127.0.0.1:{self.server.server_address[1]}"
        if at.path == "/.well-known/openid-configuration":
            self._answer(
                {
                    "issuer": root,
                    "authorization_endpoint": f"{root}/authorize",
                    "token_endpoint": f"{root}/token",
                    "jwks_uri": f"{root}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            )
        elif at.path == "/keys":
            self._answer({"keys": [_KEY.as_dict(private=False)]})
        elif at.path == "/authorize":
            self.nonces["code"] = asked.get("nonce", "")
            self.send_response(302)
            back = urlencode({"code": "code", "state": asked["state"]})
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        root = f"http://127.0.0.1:{self.server.server_address[1]}"
        now_s = int(time.time())
        claims = {
            "iss": root,
            "sub": "ann",
            "aud": "servecast",
            "iat": now_s,
            "exp": now_s + 600,
            "email": "ann@example.com",
        }
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims | {"nonce": self.nonces["code"]}, _KEY)
        self._answer({"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": token})

    def _answer(self, value: object) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def provider() -> Iterator[str]:
    """Address of the provider's description."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}/.well-known/openid-configuration"
    finally:
        served.shutdown()
        served.server_close()
