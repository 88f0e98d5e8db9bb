"""Readers and askers that may not end unseen, and have to end when they are told to, whatever the bell's layer does."""

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from redis.exceptions import ConnectionError as RedisIsAway

from streams import bell
from streams.bell import hear
from streams.wire import Caller
from tests.streams.conftest import free_port
from threads.log import watching
from threads.log.watching import Hall


class Failing(InMemoryChannelLayer):
    """Nobody can leave a group."""

    async def group_discard(self, group, channel):
        raise RedisIsAway("Connection closed by server.")


class Hanging(InMemoryChannelLayer):
    """Who leaves a group gets no answer."""

    async def group_discard(self, group, channel):
        await asyncio.sleep(60)


class Rude(InMemoryChannelLayer):
    """Who is cancelled while they wait hears of the connection instead."""

    async def receive(self, channel):
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            raise RedisIsAway("Connection closed by server.") from None


@pytest.fixture
def layer(request, settings, monkeypatch):
    monkeypatch.setattr(bell, "PARTING", 0.1)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.{request.param.__name__}"}}
    assert isinstance(get_channel_layer(), request.param)
    return request.param


@pytest.fixture
def nobody_serves(settings, monkeypatch):
    settings.STREAMS_URL = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(watching, "A_PAGES", 0.1)
    monkeypatch.setattr(watching, "ASK", 0.02)
    monkeypatch.setattr(watching, "LOOK", 0.2)


@pytest.mark.parametrize("layer", [Failing, Hanging], indirect=True)
async def test_whoever_is_told_to_stop_listening_stops(layer):
    listening = asyncio.Event()
    task = asyncio.create_task(hear("talk", listening.set, print))
    await listening.wait()
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("layer", [Failing, Hanging, Rude], indirect=True)
async def test_a_reader_ends_with_the_last_who_watch(layer, nobody_serves):
    hall = Hall(None)
    async with asyncio.timeout(10):
        async with hall.watching("oak", "talk"):
            pass
    assert hall.is_empty


class Door:
    """It fails while it has errors, and then lets nobody look on any more."""

    def __init__(self, *errors):
        self.errors = list(errors)

    async def still(self, caller, house, *, since=None):
        if self.errors:
            raise self.errors.pop()
        return False


class Watcher:
    """Cannot be told that it is cut off."""

    caller = Caller(internal=False, agent_id="ada")

    def __init__(self):
        self.out = asyncio.Event()

    def no_longer(self):
        self.out.set()

    def cut_off(self):
        raise OSError("it is gone already")


async def test_the_door_is_asked_again_whatever_went_wrong(nobody_serves, caplog):
    hall, watcher = Hall(Door(OSError("no file is left"))), Watcher()
    async with asyncio.timeout(10):
        async with hall.watching("oak", "talk") as watched:
            with watched.seen_by(watcher):
                await watcher.out.wait()
    assert "it is gone already" in caplog.text
