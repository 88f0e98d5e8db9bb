"""What the tables stand on: short ids, and the vault."""

from django.db import migrations

SHORT_ID = """
CREATE FUNCTION generate_short_id() RETURNS text LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    -- 32 characters, so that five bits make one; without l, o, 0 and 1.
    alphabet constant text := '23456789abcdefghijkmnpqrstuvwxyz';
    bytes bytea := uuid_send(gen_random_uuid());
    id text := '';
    n int;
BEGIN
    -- Bytes 6 and 8 of a random uuid carry its version and variant.
    FOREACH n IN ARRAY ARRAY[0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13] LOOP
        id := id || substr(alphabet, (get_byte(bytes, n) & 31) + 1, 1);
    END LOOP;
    RETURN id;
END
$body$;
"""

VAULT = """
CREATE SCHEMA vault AUTHORIZATION arbe_vault;
SET LOCAL ROLE arbe_vault;
CREATE TABLE vault.sealed (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    house_id text NOT NULL,
    key_id text NOT NULL,
    box bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION vault.put(box bytea, key_id text) RETURNS uuid LANGUAGE sql SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    INSERT INTO vault.sealed (house_id, key_id, box)
    VALUES (NULLIF(current_setting('app.house_id', true), ''), key_id, box) RETURNING id
$body$;
CREATE FUNCTION vault.open(wanted uuid) RETURNS bytea LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    SELECT box FROM vault.sealed
    WHERE id = wanted AND house_id = NULLIF(current_setting('app.house_id', true), '')
$body$;
CREATE FUNCTION vault.drop(unwanted uuid) RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    DELETE FROM vault.sealed
    WHERE id = unwanted AND house_id = NULLIF(current_setting('app.house_id', true), '')
$body$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO arbe_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vault TO arbe_app;
RESET ROLE;
"""

GROUND = [
    migrations.RunSQL(SHORT_ID, "DROP FUNCTION generate_short_id()"),
    migrations.RunSQL(VAULT, "DROP SCHEMA vault CASCADE"),
]
