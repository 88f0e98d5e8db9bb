"""A small OpenID provider on a loopback port: whoever comes to it is whom it was told, at once."""

import json
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "arbe", "between the two of us"


class Provider:
    """`claims` is what it says of whoever comes; `key` is what it signs with, `shown` the one it tells of."""

    def __init__(self) -> None:
        self.key = self.shown = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict = {}
        self.signed: dict = {}  # in place of what is right
        self.codes: dict[str, dict] = {}
        handler = type("Handler", (_Answers,), {"provider": self})
        self.server = HTTPServer(("127.0.0.1", 0), handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def settings(self) -> dict:
        app = {"provider_id": "oidc", "name": "Corp", "client_id": CLIENT, "secret": SECRET}
        app["settings"] = {"server_url": self.issuer}
        return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}

    def token(self, nonce: str | None) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce, **self.claims}
        return jwt.encode(said | self.signed, self.key, "RS256", headers={"kid": "one"})


class _Answers(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *_: object) -> None:
        pass

    def say(self, what: dict, status: int = 200) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        where, provider = urlsplit(self.path), self.provider
        if where.path == "/.well-known/openid-configuration":
            ends = {name: f"{provider.issuer}/{name}" for name in ("token_endpoint", "authorization_endpoint")}
            ends |= {"userinfo_endpoint": f"{provider.issuer}/userinfo", "jwks_uri": f"{provider.issuer}/jwks"}
            self.say({"issuer": provider.issuer, **ends})
        elif where.path == "/jwks":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(provider.shown.public_key()))
            self.say({"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]})
        elif where.path == "/userinfo":
            self.say(provider.claims)
        else:
            asked = {name: values[0] for name, values in parse_qs(where.query).items()}
            provider.codes["code-1"] = asked
            self.send_response(302)
            back = urlencode({"code": "code-1", "state": asked["state"]})
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        basic = b64decode(self.headers.get("Authorization", "Basic ").partition(" ")[2]).decode()
        asked = self.provider.codes.pop(sent.get("code", [""])[0], None)
        secret = sent.get("client_secret", [basic.partition(":")[2]])[0]
        if asked is None or secret != SECRET or "code_verifier" not in sent or "code_challenge" not in asked:
            self.say({"error": "invalid_grant"}, 400)
        else:
            self.say({"access_token": "access", "token_type": "Bearer", "id_token": self.provider.token(None)})
