// What runs the health checks for Argo CD in a test: the Lua interpreter that Argo CD has.
module atelier.dev/hack/tools/argocd-lua

go 1.26.0

require github.com/yuin/gopher-lua v1.1.2
