"""Environments: recipes that mean something, in every part."""

import pytest

from artifacts.models import Repository
from houses.models import House, Secret
from houses.refusals import Forbidden, Invalid
from houses.tenancy import inside
from sandboxes.environments import MissingSecret, NetworkClosed
from sandboxes.models import Environment
from sandboxes.provider import Limits


@pytest.fixture
def make(oak, ada):
    """A recipe of Oak, with Ada at work inside of the house."""

    def made(name="plain", secret_bindings=(), **config):
        return Environment.objects.create_in(oak, name, by=ada, config=config, secret_bindings=list(secret_bindings))

    with inside(oak, ada):
        yield made


def test_the_first_becomes_the_houses_default(make, ada):
    first, second = make("first"), make("second")
    assert House.objects.get().default_environment_id == first.pk
    second.make_default(by=ada)
    assert House.objects.get().default_environment_id == second.pk


@pytest.mark.parametrize(("name", "called"), [("plain", "plain"), ("Data work (2)", "Data-work-2"), ("§§", "work")])
def test_without_a_repository_one_is_made_under_a_name_that_git_likes(make, name, called):
    environment = make(name)
    assert (environment.name, environment.repository.name) == (name, called)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"colour": "red"}, "An environment has no colour"),
        ({"repository": "nowhere"}, "needs a repository of this house"),
        ({"setup": 3}, "`setup` is a script"),
        ({"network": "yes"}, "`network` is true or false"),
        ({"env": []}, "`env` holds plain variables"),
        ({"env": {"a b": "c"}}, "`env` holds plain variables"),
        ({"env": {"A": ["b"]}}, "A variable's value is text"),
        ({"env": {"A": "b\0"}}, "A variable's value is text"),
        ({"env": {"A": "\ud800"}}, "A variable's value is text"),
        ({"setup": "\0"}, "`setup` is a script"),
        ({"limits": {"memory_mb": 0}}, "limits.memory_mb must be a number above zero"),
        ({"limits": {"memory_mb": "1"}}, "limits.memory_mb must be a number above zero"),
        ({"limits": {"colour": 1}}, "No such limit: colour"),
        ({"limits": [1]}, "limits"),
        ({"image": 5}, "`image`"),
    ],
)
def test_what_means_nothing_is_refused_and_leaves_nothing(make, var, config, says):
    with pytest.raises(Invalid, match=says):
        make(**config)
    assert not Environment.objects.exists() and not Repository.objects.exists()
    assert list(var.rglob("*.git")) == []


def test_a_recipe_needs_a_name(make):
    with pytest.raises(Invalid):
        make(" ")


@pytest.mark.parametrize("binding", ["API_KEY", {}, {"name": "lower"}, {"name": 5}, None])
def test_a_binding_names_a_secret(make, binding):
    with pytest.raises(Invalid):
        make(secret_bindings=[binding])


def test_a_binding_is_required_unless_it_says_otherwise(make):
    environment = make(secret_bindings=[{"name": "A"}, {"name": "B", "required": False, "colour": "red"}])
    assert environment.secret_bindings == [{"name": "A", "required": True}, {"name": "B", "required": False}]


def test_secrets_are_found_when_they_are_wanted(make, ada):
    environment = make(secret_bindings=[{"name": "A"}, {"name": "B", "required": False}])
    with pytest.raises(MissingSecret, match=r"plain requires the secret A.*Settings → Secrets"):
        environment.secrets()
    Secret.objects.put("A", "value", by=ada)
    Secret.objects.put("C", "of no concern", by=ada)
    assert environment.secrets() == {"A": "value"}


def test_who_injects_a_secret_is_an_index_away(make):
    environment = make("with", secret_bindings=[{"name": "A"}])
    make("without")
    assert list(Environment.objects.injecting("A")) == [environment]


def test_limits_are_those_of_the_recipe(make):
    assert make(limits={"cpu_seconds": 5}).limits == Limits(cpu_seconds=5)


def test_a_result_may_change_with_some_of_it_and_the_digest_says_so(make, ada):
    environment = make(env={"A": "1"})
    digest = environment.digest
    for config, same in (({"env": {"A": "1"}, "limits": {"cpu_seconds": 5}}, True), ({"env": {"A": "2"}}, False)):
        environment.change(name="other", config=config, secret_bindings=[], by=ada)
        assert (environment.digest == digest) is same


def test_a_change_keeps_the_repository(make, ada):
    environment = make()
    repository = environment.repository
    environment.change(name="other", config={"image": "system"}, secret_bindings=[], by=ada)
    environment.refresh_from_db()
    assert environment.repository == repository and environment.config["image"] == "system"


def test_a_change_that_means_nothing_changes_nothing(make, ada):
    environment = make(network=False)
    with pytest.raises(Invalid):
        environment.change(name="other", config={"network": 5}, secret_bindings=[], by=ada)
    environment.refresh_from_db()
    assert (environment.name, environment.config["network"]) == ("plain", False)


def test_a_repository_next_door_is_none(make, elm, cy):
    with inside(elm, cy):
        theirs = Repository.objects.create_in(elm, "theirs", by=cy)
    with pytest.raises(Invalid):
        make(repository=theirs.pk)


def test_recipes_are_for_owners(make, oak, bo):
    environment = make()
    for verb in (
        lambda: Environment.objects.create_in(oak, "x", by=bo, config={}, secret_bindings=[]),
        lambda: environment.change(name="x", config={}, secret_bindings=[], by=bo),
        lambda: environment.make_default(by=bo),
    ):
        with pytest.raises(Forbidden):
            verb()


def test_the_network_is_for_installations_that_open_it(make, settings):
    with pytest.raises(NetworkClosed, match="ARBE_SANDBOX_NETWORK"):
        make(network=True)
    settings.SANDBOX_NETWORK = True
    assert make(network=True).network


def test_limits_have_a_ceiling(make):
    with pytest.raises(Invalid, match="at the most"):
        make(limits={"memory_mb": 10**9})
