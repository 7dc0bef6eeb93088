import json

import pytest


@pytest.fixture(scope="session")
def recordings(assets_root):
    # Recordings lie below the root as the package does below the code repo.
    return assets_root / "sdk/greetings/tests/recordings"


@pytest.mark.parametrize("name", ["hello", "goodbye", "thanks", "sorry"])
def test_greeting(recordings, name):
    exchange = json.loads((recordings / f"{name}.json").read_text())
    assert exchange["request"] == f"GET /{name}"
