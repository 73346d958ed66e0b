# The commands of this project. `make help` lists them.
.PHONY: example sim mutants sim-exhaust sim-planned help up down build pack setup test unit e2e parity kubernetes kubernetes-down test-kubernetes have-juju test-juju e2e-juju4 test-long faults check bench bench-failover bench-reloads bench-growth images clean
.DEFAULT_GOAL := help

triple := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# Everything that runs is linked statically: it runs in any image and on any machine.
static := RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --target $(triple)
built := target/$(triple)
charms := pgbouncer-k8s postgresql-k8s data-integrator

# The charms in dist/, from the artefacts of a profile.
define pack-from
for charm in $(charms); do ./talisman pack charms/$$charm --dispatch $(built)/$(1)/$$charm --out dist || exit 1; done
endef
define pack-example-from
./talisman pack crates/juju-charm/examples/hello --dispatch $(built)/$(1)/examples/hello --out dist
endef

help: ## List the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16

up: build ## PostgreSQL behind PgBouncer on this machine, with a client's credentials printed
	@tools/up

down: ## Stop everything that `make up` started; data and images stay
	@if [ -x ./talisman ]; then ./talisman down; else echo "Nothing is built, so nothing runs."; fi

setup:
	@tools/setup run

build: setup ## Build the program, the hook tools and the charms
	@$(static) --release -p talisman -p hooktool -p node $(addprefix -p ,$(charms)) --bins
	@for program in hooktool containeragent; do install -D -m 755 $(built)/release/$$program $(built)/release/lib/$$program || exit 1; done
	@install -D -m 755 /usr/local/lib/talisman/pebble $(built)/release/lib/pebble
	@ln -sfn $(built)/release/talisman talisman
	@$(call pack-from,release)

example: build
	@$(static) --release -p juju-charm --example hello
	@$(call pack-example-from,release)

pack: build ## Build each charm as small and quick to start as it can be, and pack it into dist/*.charm
	@$(static) --profile charm $(addprefix -p ,$(charms)) -p juju-charm --bins --example hello
	@$(call pack-from,charm)
	@$(call pack-example-from,charm)

test: build example images unit parity e2e e2e-juju4 ## Run every test, the end-to-end ones on the real parts included

unit:
	@tools/setup test
	@tools/on-ordinary-run cargo test --locked --workspace --exclude end-to-end

e2e:
	@tools/on-ordinary-run cargo test --locked -p end-to-end -- --test-threads=2

e2e-juju4: ## The charms' scenarios once more, under the rules of Juju 4.0
	@TALISMAN_JUJU=4.0 tools/on-ordinary-run cargo test --locked -p end-to-end --test scenarios -- main_job:: single:: cluster:: clients:: tls:: acceptance:: contract:: python_charm:: --test-threads=2

parity: ## The contract of the Kubernetes API, on ours and on a real kube-apiserver
	@tools/setup parity
	@cargo test --locked --workspace --exclude end-to-end --test contract
	@cargo test --locked -p end-to-end --test parity -- --test-threads=1

kubernetes: ## A whole Kubernetes of one node on this machine, until `make kubernetes-down`
	@tools/setup kubernetes
	@cargo build --quiet --locked -p end-to-end --bin kubernetes
	@target/debug/kubernetes up
	@echo "kubectl: target/debug/kubernetes enter kubectl get pods --all-namespaces"

kubernetes-down: ## End what `make kubernetes` started, and all that was made there
	@cargo run --quiet --locked -p end-to-end --bin kubernetes -- down

test-kubernetes: build images ## Three members of PostgreSQL on a real node, and what bench-failover does to them
	@tools/setup kubernetes
	@cargo test --locked -p end-to-end --test real_node -- --nocapture --test-threads=1

have-juju:
	@command -v juju >/dev/null || { echo "test-juju: cannot find juju; install it and bootstrap a controller on Kubernetes" >&2; exit 1; }
	@juju show-controller >/dev/null || { echo "test-juju: cannot reach a controller; bootstrap one with 'juju bootstrap'" >&2; exit 1; }

test-juju: have-juju build example ## The jubilant suite and the acceptance scenarios on the Juju that is bootstrapped here
	@TALISMAN_REAL_JUJU=$$(command -v juju) TALISMAN_PROGRAM=$(CURDIR)/target/debug/as-juju cargo test --locked -p end-to-end --test scenarios -- jubilant:: acceptance:: --test-threads=1

test-long: build images ## What years write, in minutes: 60 switchovers, 50 passwords and certificates, 100 relations; prints what grew
	@tools/on-ordinary-run cargo test --locked -p end-to-end --test long -- --nocapture

faults: build example ## Kill the engine at every effect of a scenario, and 200 times at random
	@TALISMAN_EVERY_EFFECT=1 cargo test --locked -p end-to-end --test scenarios -- faults:: --nocapture --test-threads=1
	@TALISMAN_KILLS=200 cargo test --locked -p end-to-end --test scenarios -- crash::nothing_is_lost --nocapture --test-threads=1

images: build
	@./talisman images images/*.yaml

check: ## Format, lints, documentation, tidiness and dependency policy
	@tools/setup check
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps
	cargo test --locked -p end-to-end --test tidy --test docs
	cargo deny --log-level error check bans licenses sources

sim: ## A minute of simulated histories: operators and faults against the real charms
	@cargo run --quiet --locked --profile sim -p sim -- --seconds 60 --databases=4

mutants: ## Plant faults in the charm and the framework, and count those that the simulator catches
	@cargo run --quiet --locked --profile sim -p sim -- --mutants

sim-planned: ## Planned stops and crashes of a primary, each of those that hold clients killed at each step
	@cargo run --quiet --locked --profile sim -p sim -- --planned

sim-exhaust: ## Scripted scenarios, each hook killed before and after each single effect
	@cargo run --quiet --locked --profile sim -p sim -- --exhaust

bench: pack ## Print the table of measurements
	@cargo run --quiet --locked --release -p bench
	@for run in 1 2 3 4 5; do cargo run --quiet --locked --profile sim -p sim -- --from 1 --histories 60 | tail -n 1; done

bench-failover: pack ## Print how long writes stop while the primary changes, and what clients notice of planned events
	@cargo run --quiet --locked --release -p bench -- failover $(ROUNDS)
	@cargo run --quiet --locked --release -p bench -- planned $(ROUNDS)

bench-reloads: pack ## Print how many of pgbench's clients 10,000 reloads of the pooler drop
	@tools/setup test
	@cargo run --quiet --locked --release -p bench -- reloads $(RELOADS)

bench-growth: pack images ## Print what one more client of the pooler costs beside 10, 100 and 1,000
	@cargo run --quiet --locked --release -p bench -- growth $(RELATIONS)

clean: down ## Remove what was built here
	cargo clean
	rm -rf dist talisman
