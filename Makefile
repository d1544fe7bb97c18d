# The front door. `make` alone tells what there is; what each does stands in hack/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Arguments for `make run`, such as ARGS="--log-level debug".
ARGS ?=

.PHONY: help demo demo-ec2 demo-down test lint chart crds reference docs-test image cluster-up cluster-down docker-up docker-down run kubeconfig install-plugin bench soak clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## a Team of seven on real containers, from nothing; again: changes nothing
	@hack/demo.sh

demo-ec2: ## the same Team on EC2 instances, of a simulator, through a control plane
	@hack/demo.sh --ec2

demo-down: ## end the demo and leave nothing of it
	@hack/demo-down.sh

test: ## every check: lint, unit tests, and black-box tests against a real API server and engine
	@hack/test.sh

lint: ## format, clippy, documentation with its reference and links, shell scripts
	@hack/lint.sh

chart: ## check the Helm chart: bad values, schemas, a real install and upgrade, alerts
	@hack/chart.sh

crds: ## write crds/ and the chart's copies anew from the Rust types
	@hack/crds.sh

reference: ## write docs/reference/ anew from the Rust types and the command line
	@hack/reference.sh

docs-test: ## run the commands in the documents on a cluster and an engine of their own (needs root)
	@hack/docs-test.sh

image: ## build atelier-agent:dev in the engine of DOCKER_HOST (default: that of docker-up, if it runs)
	@DOCKER_HOST=$$(hack/in-use.sh docker) hack/image.sh

cluster-up: ## start an API server, etcd and controller-manager with our CRDs; no operator
	@hack/cluster-up.sh

cluster-down: ## end that cluster and remove its data
	@hack/cluster-down.sh

docker-up: ## start a Docker engine of our own (needs root)
	@hack/docker-up.sh

docker-down: ## end that engine with all that is in it
	@hack/docker-down.sh

run: ## the controller in the foreground, on KUBECONFIG or else on cluster-up's cluster; ARGS= is passed on
	@hack/run.sh $(ARGS)

kubeconfig: ## print the path of the kubeconfig in use
	@hack/in-use.sh kubeconfig

install-plugin: ## `kubectl atelier`: link the program into ~/.local/bin, or PREFIX/bin
	@hack/install-plugin.sh

bench: ## seven containers through a Team against a bare loop of the same Docker calls
	@cargo test --locked --release --package atelier --test it -- --ignored --nocapture --test-threads 1 bench::

soak: ## the long tests, with the real periods: kill storms, five minutes at rest
	@cargo test --locked --package atelier --test it -- --ignored --nocapture --test-threads 1 soak::

clean: ## end what we started here, then remove what was built; keeps the control plane's binaries
	@hack/demo-down.sh && hack/cluster-down.sh && hack/docker-down.sh
	@cargo clean
