"""What jubilant asks of Juju, asked of the engine."""

import json
import pathlib

import conftest
import jubilant
import pytest


def report(juju: jubilant.Juju, unit: str) -> dict:
    """What the charm has seen."""
    return json.loads(juju.run(unit, "report").results["report"])


def test_version(juju: jubilant.Juju):
    assert juju.version().tuple >= (3, 6, 0)


def test_show_model(juju: jubilant.Juju):
    info = juju.show_model()
    assert info.short_name == juju.model
    assert info.model_type == "caas"


def test_status(juju: jubilant.Juju, probe: str):
    status = juju.status()
    app = status.apps[probe]
    assert status.model.name == juju.model
    assert app.charm_name == "ops-probe"
    assert app.scale == 2
    assert app.is_active
    assert set(app.units) == {"probe/0", "probe/1"}
    assert sum(unit.leader for unit in app.units.values()) == 1
    assert app.units["probe/0"].open_ports == ["8080/tcp"]
    assert app.version == "1.2.3"


def test_config(juju: jubilant.Juju, probe: str):
    assert juju.config(probe)["greeting"] == "hello"
    assert juju.config(probe)["loudness"] == 5
    juju.config(probe, {"greeting": "good morning", "loudness": 7})
    juju.wait(lambda status: message(status) == "good morning")
    juju.config(probe, reset="greeting")
    juju.wait(lambda status: message(status) == "hello")
    assert juju.config(probe)["loudness"] == 7
    with pytest.raises(jubilant.CLIError, match="colour"):
        juju.config(probe, {"colour": "red"})


def message(status: jubilant.Status) -> str:
    """The status message of a unit."""
    return status.apps["probe"].units["probe/0"].workload_status.message


def test_run(juju: jubilant.Juju, probe: str):
    task = juju.run("probe/leader", "report", wait=30)
    assert task.success
    assert task.status == "completed"
    assert json.loads(task.results["report"])["planned"] == 2
    juju.run("probe/0", "flag", {"up": True})
    with pytest.raises(jubilant.TaskError) as failed:
        juju.run("probe/0", "fail")
    assert failed.value.task.status == "failed"
    assert failed.value.task.message == "as asked"
    assert failed.value.task.results == {"partly": "done"}
    with pytest.raises((ValueError, jubilant.CLIError)):
        juju.run("probe/0", "nothing-of-that-name")


def test_exec(juju: jubilant.Juju, probe: str):
    task = juju.exec("echo out; echo err >&2", unit="probe/0")
    assert (task.stdout, task.stderr, task.return_code) == ("out\n", "err\n", 0)
    assert juju.exec("echo", "two words", unit="probe/0").stdout == "two words\n"
    with pytest.raises(jubilant.TaskError) as failed:
        juju.exec("exit 3", unit="probe/0")
    assert failed.value.task.return_code == 3


def test_ssh_and_scp(juju: jubilant.Juju, probe: str, tmp_path: pathlib.Path):
    assert juju.ssh("probe/0", "hostname").strip() == "probe-0"
    assert juju.ssh("probe/0", "cat", "/srv/data/flag", container="workload") == "up"
    source = tmp_path / "source"
    source.write_text("copied")
    juju.scp(source, "probe/0:/tmp/target", container="workload")
    assert juju.ssh("probe/0", "cat /tmp/target", container="workload") == "copied"
    juju.scp("probe/0:/tmp/target", tmp_path / "back", container="workload")
    assert (tmp_path / "back").read_text() == "copied"


def test_integrate(juju: jubilant.Juju, probe: str):
    conftest.deploy(juju, "other")
    juju.integrate("probe:left", "other:right")
    juju.wait(lambda status: jubilant.all_active(status, "probe", "other"))
    juju.wait(lambda status: "left" in status.apps["probe"].relations)
    juju.wait(jubilant.all_agents_idle)
    relation = juju.status().apps["other"].relations["right"][0]
    assert (relation.related_app, relation.interface) == ("probe", "probe")
    assert report(juju, "other/0")["remote"]["probe/0"]["hello"] == "other/0"
    info = juju.show_unit("other/0")
    mine = next(one for one in info.relation_info if one.endpoint == "right")
    assert mine.related_units["probe/0"].data["hello"] == "other/0"
    juju.remove_relation("probe:left", "other:right")
    juju.wait(lambda status: "left" not in status.apps["probe"].relations)
    juju.remove_application("other", destroy_storage=True, force=True)
    juju.wait(lambda status: "other" not in status.apps)


def test_secrets(juju: jubilant.Juju, probe: str):
    uri = juju.add_secret("mine", {"user": "bob", "password": "hush"}, info="a test")
    shown = juju.show_secret(uri, reveal=True)
    assert shown.content == {"user": "bob", "password": "hush"}
    assert (shown.name, shown.description, shown.revision) == ("mine", "a test", 1)
    juju.grant_secret("mine", probe)
    assert juju.show_secret("mine").access
    juju.update_secret("mine", {"user": "eve"})
    assert juju.show_secret("mine", reveal=True).content == {"user": "eve"}
    assert juju.exec(f"secret-get {uri} user", unit="probe/0").stdout.strip() == "eve"
    owners = {secret.owner for secret in juju.secrets()}
    assert owners == {"<model>", "probe"}
    juju.remove_secret("mine")
    assert {secret.owner for secret in juju.secrets()} == {"probe"}


def test_model_config(juju: jubilant.Juju):
    juju.model_config({"update-status-hook-interval": "10s"})
    assert juju.model_config()["update-status-hook-interval"] == "10s"
    juju.model_config(reset="update-status-hook-interval")
    assert juju.model_config()["update-status-hook-interval"] == "5m"


def test_trust_and_refresh(juju: jubilant.Juju, probe: str):
    juju.trust(probe, scope="cluster")
    assert juju.config(probe, app_config=True)["trust"] is True
    juju.refresh(probe, path=next(conftest.CHARMS.glob("ops-probe_*.charm")))
    juju.wait(lambda status: status.apps[probe].charm_rev == 1)
    juju.wait(lambda status: "upgrade_charm" in report(juju, "probe/0")["events"], delay=0.5)
    juju.wait(jubilant.all_agents_idle)


def test_attach_resource(juju: jubilant.Juju, probe: str, tmp_path: pathlib.Path):
    def read(_status: jubilant.Status) -> str:
        try:
            return juju.exec("cat $(resource-get notes)", unit="probe/0").stdout
        except (jubilant.CLIError, jubilant.TaskError, ValueError):
            return ""

    notes = tmp_path / "other.txt"
    notes.write_text("other notes\n")
    before = juju.status().apps[probe].charm_rev
    juju.cli("attach-resource", probe, f"notes={notes}")
    juju.wait(lambda status: status.apps[probe].charm_rev == before + 1)
    juju.wait(lambda status: read(status) == "other notes\n", delay=0.5)
    juju.wait(jubilant.all_agents_idle)
    with pytest.raises(jubilant.CLIError, match="nothing"):
        juju.cli("attach-resource", probe, f"nothing={notes}")


def test_what_is_declared(juju: jubilant.Juju, probe: str, tmp_path: pathlib.Path):
    assert "report" in json.loads(juju.cli("actions", probe, "--format", "json"))
    resources = json.loads(juju.cli("resources", probe, "--format", "json"))["resources"]
    assert {one["name"] for one in resources} == {"notes", "workload-image"}
    storage = json.loads(juju.cli("storage", "--format", "json"))["storage"]
    attachments = [one.get("attachments", {"units": {}}) for one in storage.values()]
    assert "probe/0" in {unit for one in attachments for unit in one["units"]}
    past = json.loads(juju.cli("show-status-log", "probe/0", "--format", "json", "-n", "100"))
    assert "executing" in {one["status"] for one in past}
    juju.cli("set-model-constraints", "mem=1G")
    assert juju.cli("model-constraints").strip() == "mem=1G"
    juju.cli("set-model-constraints")
    bundle = tmp_path / "bundle.yaml"
    juju.cli("export-bundle", "--filename", str(bundle))
    assert "notes" in bundle.read_text() and "ops-probe" in bundle.read_text()


def test_units(juju: jubilant.Juju, probe: str):
    juju.add_unit(probe)
    juju.wait(lambda status: len(status.apps[probe].units) == 3)
    juju.wait(lambda status: jubilant.all_active(status, probe))
    juju.remove_unit(probe, num_units=2)
    juju.wait(lambda status: set(status.apps[probe].units) == {"probe/0"})


def test_wait_for(juju: jubilant.Juju, probe: str):
    juju.cli("wait-for", "unit", "probe/0", "--query", 'workload-status=="active"')
    juju.cli("wait-for", "application", probe, "--timeout", "30s")
    with pytest.raises(jubilant.CLIError, match="timed out"):
        juju.cli("wait-for", "unit", "probe/0", "--query", 'life=="dead"', "--timeout", "300ms")


def test_another_model(juju: jubilant.Juju, probe: str):
    with jubilant.temp_model() as second:
        assert second.model != juju.model
        assert second.status().apps == {}
        models = json.loads(juju.cli("models", "--format", "json", include_model=False))["models"]
        assert {juju.model, second.model} <= {model["short-name"] for model in models}
    assert probe in juju.status().apps


def test_remove(juju: jubilant.Juju, probe: str):
    juju.remove_application(probe)
    juju.wait(lambda status: not status.apps)
    with pytest.raises(jubilant.CLIError, match="not|no"):
        juju.remove_application(probe)
