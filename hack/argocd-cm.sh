#!/usr/bin/env bash
# Writes gitops/argocd/argocd-cm.yaml and values.yaml anew from the health checks beside them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT/gitops/argocd"

# checks INDENT: the three settings of argocd-cm
checks() {
    local pad kind
    pad=$(printf "%$1s" '')
    for kind in Team Workspace BackendConfig; do
        echo "${pad}resource.customizations.health.atelier.dev_$kind: |"
        sed "s/^./$pad  &/" "${kind,,}.lua"
    done
}

{
    echo "# For kubectl patch configmap argocd-cm --patch-file. Written by hack/argocd-cm.sh from the Lua files."
    echo "data:"
    checks 2
} >argocd-cm.yaml
{
    echo "# Values for the Helm chart argo-cd. Written by hack/argocd-cm.sh from the Lua files."
    echo "configs:"
    echo "  cm:"
    checks 4
} >values.yaml
