// Of the standard library alone.
module atelier.dev/hack/tools/schemas

go 1.26.0
