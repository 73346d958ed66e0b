"""One model for each file of tests, as people write it for Juju."""

import os
import pathlib

import jubilant
import pytest

CHARMS = pathlib.Path(os.environ["TALISMAN_TEST_CHARMS"])
IMAGES = pathlib.Path(os.environ["TALISMAN_TEST_IMAGES"])


@pytest.fixture(scope="module")
def juju():
    """A model that goes with its tests."""
    with jubilant.temp_model() as juju:
        juju.wait_timeout = 90
        yield juju
        print(juju.debug_log(limit=200))


@pytest.fixture(scope="module")
def probe(juju: jubilant.Juju):
    """Two units of a charm written in Python."""
    deploy(juju, "probe", units=2)
    juju.wait(lambda status: jubilant.all_active(status, "probe"))
    juju.wait(lambda status: jubilant.all_agents_idle(status, "probe"))
    return "probe"


def deploy(juju: jubilant.Juju, app: str, units: int = 1):
    """Deploys the charm under a name."""
    juju.deploy(
        next(CHARMS.glob("ops-probe_*.charm")),
        app,
        num_units=units,
        config={"loudness": 5},
        resources={
            "workload-image": str(IMAGES / "charm-base.yaml"),
            "notes": str(pathlib.Path(__file__)),
        },
        base="ubuntu@24.04",
    )
