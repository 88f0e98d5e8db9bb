from django.db import migrations

from houses.constraints import HouseOwned

AGENT = "NULLIF(current_setting('app.agent_id', true), '')::uuid"
HOUSE = "NULLIF(current_setting('app.house_id', true), '')"
MINE = "SELECT house_id FROM members WHERE agent_id = " + AGENT  # noqa: S608  # all of it is ours
# By model and policy: its column, how it said who reads more than the rows of the house they are in, and how it does.
READERS = [
    ("house", "a_house_is_seen_from_inside", "id", f'"id" IN ({MINE})', f'"id" = ANY (ARRAY({MINE}))'),
    (
        "member",
        "members_are_seen_from_inside",
        "house_id",
        f'"agent_id" = {AGENT} AND {HOUSE} IS NULL',
        f'"agent_id" = CASE WHEN {HOUSE} IS NULL THEN {AGENT} END',
    ),
]
SEARCHES = ["memories_saying(tsquery)", "memories_tagged(text[])", "threads_tagged(text)"]
# They are the operator role's.
ALTER = "SET LOCAL ROLE arbe_operator; {}; RESET ROLE"


def reread(model: str, name: str, column: str, before: str, after: str) -> migrations.SeparateDatabaseAndState:
    policy = f'ALTER POLICY "{name}_read" ON "{model}s" USING '
    constraint = HouseOwned(name=name, column=column, also_read=after)
    return migrations.SeparateDatabaseAndState(
        [migrations.RunSQL(f"{policy} ({after})", f"{policy} ({before})")],
        [migrations.AlterConstraint(model_name=model, name=name, constraint=constraint)],
    )


def plan_anew(function: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        ALTER.format(f"ALTER FUNCTION {function} SET plan_cache_mode = force_custom_plan"),
        ALTER.format(f"ALTER FUNCTION {function} RESET plan_cache_mode"),
    )


class Migration(migrations.Migration):
    dependencies = [("houses", "0011_one_agent_per_address"), ("threads", "0004_threads_tagged")]
    operations = [*(reread(*one) for one in READERS), *(plan_anew(function) for function in SEARCHES)]
