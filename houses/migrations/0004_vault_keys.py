"""The vault says which key sealed a value; and its keys can be changed, by the owner role alone."""

from django.db import migrations

OPENS = """
SET LOCAL ROLE arbe_vault;
DROP FUNCTION vault.open(uuid);
CREATE FUNCTION vault.open(wanted uuid) RETURNS TABLE (key_id text, box bytea) LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    SELECT sealed.key_id, sealed.box FROM vault.sealed
    WHERE sealed.id = wanted AND sealed.house_id = NULLIF(current_setting('app.house_id', true), '')
$body$;
REVOKE ALL ON FUNCTION vault.open(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.open(uuid) TO arbe_app;
RESET ROLE;
"""
OPENED = """
SET LOCAL ROLE arbe_vault;
DROP FUNCTION vault.open(uuid);
CREATE FUNCTION vault.open(wanted uuid) RETURNS bytea LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    SELECT box FROM vault.sealed
    WHERE id = wanted AND house_id = NULLIF(current_setting('app.house_id', true), '')
$body$;
REVOKE ALL ON FUNCTION vault.open(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.open(uuid) TO arbe_app;
RESET ROLE;
"""
# Across houses: how many values each key sealed, boxes of one key, and another box in the place of one, if it is still
# the same. What is in a box only a key can tell, and no key is in the database.
RESEALS = """
SET LOCAL ROLE arbe_vault;
CREATE FUNCTION vault.count_by_key() RETURNS TABLE (key_id text, count bigint) LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    SELECT sealed.key_id, count(*) FROM vault.sealed GROUP BY sealed.key_id
$body$;
CREATE FUNCTION vault.sealed_with(wanted text, after uuid, most int)
    RETURNS TABLE (id uuid, house_id text, box bytea) LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = vault, pg_temp AS $body$
    SELECT sealed.id, sealed.house_id, sealed.box FROM vault.sealed
    WHERE sealed.key_id = wanted AND sealed.id > after ORDER BY sealed.id LIMIT most
$body$;
CREATE FUNCTION vault.swap(ids uuid[], olds bytea[], news bytea[], by_key text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = vault, pg_temp AS $body$
    WITH swapped AS (
        UPDATE vault.sealed SET box = pair.new, key_id = by_key FROM unnest(ids, olds, news) AS pair (id, old, new)
        WHERE sealed.id = pair.id AND sealed.box = pair.old RETURNING 1
    ) SELECT count(*) FROM swapped
$body$;
REVOKE ALL ON FUNCTION vault.count_by_key(), vault.sealed_with(text, uuid, int),
    vault.swap(uuid[], bytea[], bytea[], text) FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO arbe_owner;
GRANT EXECUTE ON FUNCTION vault.count_by_key(), vault.sealed_with(text, uuid, int),
    vault.swap(uuid[], bytea[], bytea[], text) TO arbe_owner;
RESET ROLE;
"""
RESEALED = """
SET LOCAL ROLE arbe_vault;
DROP FUNCTION vault.count_by_key();
DROP FUNCTION vault.sealed_with(text, uuid, int);
DROP FUNCTION vault.swap(uuid[], bytea[], bytea[], text);
REVOKE USAGE ON SCHEMA vault FROM arbe_owner;
RESET ROLE;
"""


class Migration(migrations.Migration):
    dependencies = [("houses", "0003_installation")]
    operations = [migrations.RunSQL(OPENS, OPENED), migrations.RunSQL(RESEALS, RESEALED)]
