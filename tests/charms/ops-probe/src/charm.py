#!/usr/bin/env python3
"""Notes each event and uses each part of the engine once."""

import json
import os
import pathlib
import subprocess

import ops
import yaml


class Tick(ops.EventBase):
    """Sent by a background program."""


class Events(ops.CharmEvents):
    """The usual events, and one of our own."""

    tick = ops.EventSource(Tick)


class Probe(ops.CharmBase):
    """The charm."""

    on = Events()
    stored = ops.StoredState()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.stored.set_default(events=[], attempts=0)
        self.workload = self.unit.get_container("workload")
        on = self.on
        plain = (on.install, on.start, on.stop, on.remove, on.upgrade_charm, on.tick)
        relations = (on.cluster_relation_created, on.right_relation_changed, on.left_relation_broken)
        for event in (*plain, *relations, on.data_storage_attached):
            framework.observe(event, self.note)
        framework.observe(on.config_changed, self.configure)
        framework.observe(on.leader_elected, self.lead)
        framework.observe(on.cluster_relation_changed, self.peers_changed)
        framework.observe(on.left_relation_joined, self.greet)
        framework.observe(on.secret_changed, self.secret_changed)
        framework.observe(on.workload_pebble_ready, self.ready)
        framework.observe(on.workload_pebble_custom_notice, self.noticed)
        framework.observe(on.workload_pebble_check_failed, self.check_failed)
        framework.observe(on.workload_pebble_check_recovered, self.check_recovered)
        for name in ("report", "notify", "flag", "tick", "new_token", "fail"):
            framework.observe(on[name].action, getattr(self, f"do_{name}"))

    def add(self, name: str):
        """Notes a name."""
        self.stored.events.append(name)

    def note(self, event: ops.EventBase):
        """Notes an event."""
        self.add(event.handle.kind)

    def configure(self, event: ops.ConfigChangedEvent):
        """Puts the greeting where others see it."""
        self.note(event)
        greeting = self.config["greeting"]
        if greeting == "later":
            self.stored.attempts += 1
            event.defer()
            return
        cluster = self.model.get_relation("cluster")
        if cluster:
            cluster.data[self.unit]["greeting"] = f"{greeting} from {self.unit.name}"
        if cluster and self.unit.is_leader():
            cluster.data[self.app]["loudness"] = str(self.config["loudness"])
            self.app.status = ops.ActiveStatus(f"led by {self.unit.name}")
        self.unit.status = ops.ActiveStatus(str(greeting))

    def lead(self, event: ops.LeaderElectedEvent):
        """Makes the secret and tells the peers its id."""
        self.note(event)
        cluster = self.model.get_relation("cluster")
        if cluster and "token" not in cluster.data[self.app]:
            secret = self.app.add_secret({"token": "first"}, label="token")
            cluster.data[self.app]["token"] = secret.id

    def peers_changed(self, event: ops.RelationChangedEvent):
        """Looks at the secret, so that its changes are told."""
        self.note(event)
        identity = event.relation.data[self.app].get("token")
        if identity and not self.unit.is_leader():
            self.model.get_secret(id=identity).get_content()

    def greet(self, event: ops.RelationJoinedEvent):
        """Writes to a relation."""
        self.note(event)
        event.relation.data[self.unit]["hello"] = event.unit.name

    def secret_changed(self, event: ops.SecretChangedEvent):
        """Takes the new content."""
        self.add("secret_changed " + event.secret.get_content(refresh=True)["token"])

    def ready(self, event: ops.PebbleReadyEvent):
        """Starts the workload's service and its check."""
        self.note(event)
        service = {"override": "replace", "command": "sleep 100000", "startup": "enabled"}
        check = {
            "override": "replace",
            "exec": {"command": "test -e /srv/data/flag"},
            "period": "200ms",
            "timeout": "150ms",
            "threshold": 1,
        }
        self.workload.push("/srv/data/flag", "up", make_dirs=True)
        layer = {"services": {"sleeper": service}, "checks": {"flag": check}}
        self.workload.add_layer("probe", ops.pebble.Layer(layer), combine=True)
        self.workload.replan()
        self.unit.set_ports(8080)
        self.unit.set_workload_version("1.2.3")

    def noticed(self, event: ops.PebbleCustomNoticeEvent):
        """Notes a notice with its key."""
        self.add("notice " + event.notice.key)

    def check_failed(self, event: ops.PebbleCheckFailedEvent):
        """Notes a failed check."""
        self.add("failed " + event.info.name)

    def check_recovered(self, event: ops.PebbleCheckRecoveredEvent):
        """Notes a check that is well again."""
        self.add("recovered " + event.info.name)

    def do_report(self, event: ops.ActionEvent):
        """Answers with all that the charm can read."""
        cluster = self.model.get_relation("cluster")
        peers = {unit.name: dict(cluster.data[unit]) for unit in cluster.units}
        token = self.model.get_secret(id=cluster.data[self.app]["token"])
        process = self.workload.exec(["cat", "/etc/hostname"], timeout=10)
        hostname, _ = process.wait_output()
        storage = self.model.storages["data"][0].location
        right = self.model.relations["right"]
        remote = {unit.name: dict(right[0].data[unit]) for unit in right[0].units} if right else {}
        report = {
            "events": list(self.stored.events),
            "attempts": self.stored.attempts,
            "peers": peers,
            "app": {k: v for k, v in cluster.data[self.app].items() if k != "token"},
            "token": token.peek_content()["token"],
            "hostname": hostname.strip(),
            "flag": pathlib.Path(storage, "flag").exists(),
            "service": self.workload.get_service("sleeper").is_running(),
            "notes": pathlib.Path(self.model.resources.fetch("notes")).read_text(),
            "remote": remote,
            "planned": self.app.planned_units(),
            "yaml": yaml.safe_load("{a: [1, 2]}"),
        }
        event.set_results({"report": json.dumps(report)})

    def do_notify(self, event: ops.ActionEvent):
        """Makes a notice."""
        self.workload.pebble.notify(ops.pebble.NoticeType.CUSTOM, "example.com/probe")

    def do_flag(self, event: ops.ActionEvent):
        """Sets or clears the flag."""
        if event.params["up"]:
            self.workload.push("/srv/data/flag", "up")
        else:
            self.workload.remove_path("/srv/data/flag")

    def do_tick(self, event: ops.ActionEvent):
        """Starts a program that outlives this hook."""
        environment = {k: v for k, v in os.environ.items() if k != "JUJU_CONTEXT_ID"}
        command = f"JUJU_DISPATCH_PATH=hooks/tick {self.charm_dir}/dispatch"
        subprocess.Popen(
            ["/usr/bin/juju-exec", "-u", self.unit.name, command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def do_new_token(self, event: ops.ActionEvent):
        """Changes the secret; one of its values is empty."""
        self.model.get_secret(label="token").set_content({"token": "second", "none": ""})

    def do_fail(self, event: ops.ActionEvent):
        """Fails."""
        event.set_results({"partly": "done"})
        event.fail("as asked")


if __name__ == "__main__":
    ops.main(Probe, use_juju_for_storage=True)
