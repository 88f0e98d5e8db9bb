"""What the processes of one machine are told: where the databases are, and the keys; kept in `arbe.env`.

What the operator says in the environment wins; the rest is made here and stays the same from start to start.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from arbe import private_files, roles

DATABASES = ("ARBE_DATABASE_URL", "ARBE_OWNER_DATABASE_URL", "ARBE_OPERATOR_DATABASE_URL")
KEYS = {"ARBE_SECRET_KEY": "secret", "ARBE_STREAMS_KEY": "streams"}
VAULT, OLD = "ARBE_VAULT_KEY", "ARBE_VAULT_OLD_KEYS"


def needs_postgres(given: Mapping[str, str]) -> bool:
    """Whether nobody named a database server."""
    return not given.get("DATABASE_URL") and not _all_named(given)


def databases(given: Mapping[str, str], var: Path, admin_url: str) -> dict[str, str]:
    """The three connections of arbe: as given, or else made (or put right) with the administrator's address."""
    if _all_named(given):
        return {name: given[name] for name in DATABASES}
    folder = _keys(var)
    passwords = {role: private_files.generated(folder / role) for role in (roles.APP, roles.OWNER, roles.OPERATOR)}
    urls = roles.bootstrap(admin_url, passwords)
    return dict(zip(DATABASES, (urls.app, urls.owner, urls.operator), strict=True))


def keys(given: Mapping[str, str], var: Path) -> dict[str, str]:
    folder = _keys(var)
    told = {name: given.get(name) or private_files.generated(folder / file) for name, file in KEYS.items()}
    named = {name: given[name] for key in (VAULT, OLD) for name in (key, f"{key}_FILE") if given.get(name)}
    if VAULT not in named and f"{VAULT}_FILE" not in named:
        named[VAULT] = private_files.generated(folder / "vault")
    if (folder / "vault.old").exists():  # a key that was made here is needed, whichever else the operator names
        file = Path(named.pop(f"{OLD}_FILE")).read_text() if OLD not in named and f"{OLD}_FILE" in named else ""
        old = f"{named.get(OLD, '')} {file} {(folder / 'vault.old').read_text()}".replace(",", " ").split()
        named[OLD] = ",".join(dict.fromkeys(old))
    return told | named


def renew_vault_key(given: Mapping[str, str], var: Path) -> Path | None:
    """A new vault key in the place of the one made here, which still opens; None if the operator names the key."""
    file = _keys(var) / "vault"
    if given.get(VAULT) or given.get(f"{VAULT}_FILE") or not file.exists():
        return None
    old = file.with_name("vault.old")
    known = old.read_text().split() if old.exists() else []
    # First the old key where it is found, then the new one: killed in between, nothing is lost.
    private_files.write(old, "\n".join(dict.fromkeys([*known, file.read_text().strip()])) + "\n")
    private_files.write(file, private_files.new_key() + "\n")
    return file


def addresses(given: Mapping[str, str], host: str, port: int) -> dict[str, str]:
    """Where people find arbe, and where its own processes find the streams."""
    everywhere = ("0.0.0.0", "::", "")  # noqa: S104  # asked about, not listened on
    here = "127.0.0.1" if host in everywhere else host
    local = f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
    url = given.get("ARBE_URL") or local
    names = dict.fromkeys(["localhost", "127.0.0.1", "[::1]", here, str(urlsplit(url).hostname)])
    return {
        "ARBE_URL": url,
        "STREAMS_URL": given.get("STREAMS_URL") or local,
        "ARBE_HOSTS": given.get("ARBE_HOSTS") or ",".join(names),
    }


def local_models(given: Mapping[str, str], host: str, told: Mapping[str, str]) -> dict[str, str]:
    """Whether bots may ask models inside: as given, and else where nobody comes in but from this machine."""
    names = [host or "everywhere", str(urlsplit(told["ARBE_URL"]).hostname), *told["ARBE_HOSTS"].split(",")]
    here = "yes" if all(_is_loopback(name.strip()) for name in names if name) else "no"
    return {"ARBE_LOCAL_MODELS": given.get("ARBE_LOCAL_MODELS") or here}


def write(var: Path, values: Mapping[str, str]) -> None:
    """Keep them for commands that are run by hand beside `up`."""
    lines = [f"{name}={value}\n" for name, value in sorted(values.items())]
    private_files.write(var / "arbe.env", "# Written by `manage.py up` at every start.\n" + "".join(lines))


def _all_named(given: Mapping[str, str]) -> bool:
    named = [name for name in DATABASES if given.get(name)]
    if named and len(named) < len(DATABASES):
        raise RuntimeError(
            f"{' and '.join(named)} alone say too little: set all of {', '.join(DATABASES)}, or none of them."
        )
    return bool(named)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _keys(var: Path) -> Path:
    folder = var / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    return folder
