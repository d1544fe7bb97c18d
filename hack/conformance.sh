#!/usr/bin/env bash
# Runs one suite of our EC2 calls against the simulator and against moto, and validates the simulator's
# answers with botocore's own model of EC2.
# usage: hack/conformance.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
need python3 "install Python 3.9 or newer with the module venv"
cd "$ROOT"
VENV=$CACHE/moto
MOTO=5.2.5
if ! "$VENV/bin/python" -c "import moto, flask; assert moto.__version__ == '$MOTO'" 2>/dev/null; then
    say "installing moto $MOTO"
    mkdir -p "$CACHE"
    { python3 -m venv "$VENV" && "$VENV/bin/pip" install --quiet "moto[server,ec2]==$MOTO"; } >"$CACHE/moto.log" 2>&1 ||
        die "moto could not be installed: $(log_end "$CACHE/moto.log")"
fi
SIMULATOR=$(hack/ec2sim.sh)
DIR=$(mktemp -d)
end() {
    stop "$DIR/ec2sim.pid"
    stop "$DIR/moto.pid"
    rm -rf "$DIR"
}
trap end EXIT
start "$DIR/ec2sim.pid" "$DIR/ec2sim.log" "$SIMULATOR" --no-limits
port=$(free_port)
start "$DIR/moto.pid" "$DIR/moto.log" "$VENV/bin/moto_server" -H 127.0.0.1 -p "$port"
wait_for 20 grep -qs endpoint "$DIR/ec2sim.log" || die "ec2sim does not start: $(log_end "$DIR/ec2sim.log")"
wait_for 60 grep -qs Running "$DIR/moto.log" || die "moto does not start: $(log_end "$DIR/moto.log")"
simulated=$(sed -n 's/.*"endpoint":"\([^"]*\)".*/\1/p' "$DIR/ec2sim.log")
moto=http://127.0.0.1:$port
# The first image of an EC2 that a t3.small can run from a volume.
image() {
    "$VENV/bin/python" - "$1" <<'PY'
import sys
import botocore.session

ec2 = botocore.session.Session().create_client(
    "ec2", region_name="us-east-1", endpoint_url=sys.argv[1], aws_access_key_id="i", aws_secret_access_key="k")
print(next(image["ImageId"] for image in ec2.describe_images()["Images"]
           if image["Architecture"] == "x86_64" and image["RootDeviceType"] == "ebs"))
PY
}

say "the simulator against botocore's model"
"$VENV/bin/python" ec2sim/tests/botocore_check.py "$simulated"
say "our calls against the simulator and moto $MOTO"
ATELIER_TEST_EC2="ec2sim,$simulated,$(image "$simulated") moto,$moto,$(image "$moto")" \
    cargo test --locked --package atelier --lib -- --ignored --nocapture control_plane::tests::conformance
