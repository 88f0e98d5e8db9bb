from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from tests.api.conftest import Api, token_of


def test_an_environment_is_made_with_a_repository_and_becomes_the_default(api, kitchen):
    made = api.ok("GET", f"environments/{kitchen['environment']}/")
    assert made["config"] == {"repository": kitchen["repository"]} and made["secret_bindings"] == []
    assert api.ok("GET", "")["default_environment"] == kitchen["environment"]
    assert api.ok("GET", "environments/")["results"] == [made]


def test_an_environment_changes_and_keeps_its_repository(api, kitchen, settings):
    settings.SANDBOX_NETWORK = True
    path = f"environments/{kitchen['environment']}/"
    config = {"setup": "echo hi\n", "network": True, "limits": {"memory_mb": 512}, "env": {"LANG": "C"}}
    changed = api.ok("PUT", path, {"name": "Galley", "config": config, "secret_bindings": [{"name": "API_KEY"}]})
    assert changed["config"] == config | {"repository": kitchen["repository"]}
    assert changed["secret_bindings"] == [{"name": "API_KEY", "required": True}]
    assert api.ok("GET", path) == changed


def test_another_environment_becomes_the_default(api, kitchen):
    other = api.ok("POST", "environments/", {"name": "Galley"}, 201)["id"]
    api.ok("PUT", f"environments/{other}/default/")
    assert api.ok("GET", "")["default_environment"] == other


def test_a_recipe_that_means_nothing_is_refused(api, kitchen, oak):
    for config in (
        {"colour": "red"},
        {"limits": {"memory_mb": 0}},
        {"limits": {"spoons": 1}},
        {"env": {"a b": "c"}},
        {"repository": "nowhere"},
        {"network": "perhaps"},
    ):
        assert api.refused("POST", "environments/", {"name": "x", "config": config}) == (400, "invalid"), config
    with inside(oak):
        assert Environment.objects.count() == 1


def test_sandboxes_are_listed_looked_at_and_destroyed(api, kitchen, oak):
    with inside(oak):
        sandbox = Sandbox.objects.born(Environment.objects.get())
    (listed,) = api.ok("GET", "sandboxes/?status=pending")["results"]
    assert api.ok("GET", f"sandboxes/{sandbox.pk}/") == listed
    api.ok("DELETE", f"sandboxes/{sandbox.pk}/", status=204)
    assert api.ok("GET", f"sandboxes/{sandbox.pk}/")["status"] == "dead"
    assert api.ok("GET", "sandboxes/?status=live")["results"] == []


def test_the_network_is_an_operators_to_open_and_limits_have_a_ceiling(api, kitchen):
    new = {"name": "Online", "config": {"network": True}}
    assert api.refused("POST", "environments/", new) == (409, "network_closed")
    greedy = {"name": "Greedy", "config": {"limits": {"memory_mb": 10**7}}}
    assert api.refused("POST", "environments/", greedy) == (400, "invalid")


def test_recipes_are_for_owners_to_shape(oak, bo, kitchen):
    guest = Api(oak, token_of(bo, oak))
    assert guest.refused("POST", "environments/", {"name": "Mine"}) == (403, "forbidden")
    assert guest.refused("PUT", f"environments/{kitchen['environment']}/default/") == (403, "forbidden")
