#!/usr/bin/env bash
# Checks that each relative link in each Markdown file leads to a file that is there, and each anchor to a heading.
# usage: hack/docs-links.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need git "install it with your package manager"
cd "$ROOT"
mapfile -t pages < <(git ls-files --cached --others --exclude-standard '*.md')

# heading FILE ANCHOR, link FILE:LINE TARGET: what stands outside of code. An anchor is what GitHub makes of a heading;
# one that comes again gets a number.
parts() {
    awk '
        FNR == 1 { code = 0; split("", count) }
        /^ *(```|~~~)/ { code = !code; next }
        code { next }
        /^#+ / {
            text = $0
            sub(/^#+ +/, "", text); gsub(/\[|\]\([^)]*\)/, "", text)
            text = tolower(text); gsub(/[^a-z0-9 _\200-\377-]/, "", text); gsub(/ /, "-", text)
            n = count[text]++
            print "heading", FILENAME, text (n ? "-" n : "")
        }
        /^ *\[[^]]+\]: / { print "link", FILENAME ":" FNR, $2; next }
        {
            line = $0
            gsub(/`[^`]*`/, "", line)
            while (match(line, /\]\([^)]*\)/)) {
                print "link", FILENAME ":" FNR, substr(line, RSTART + 2, RLENGTH - 3)
                line = substr(line, RSTART + RLENGTH)
            }
        }' "$@"
}

all=$(LC_ALL=C parts "${pages[@]}")
failed=0 checked=0
while read -r _ from target; do
    case $target in *://* | mailto:*) continue ;; esac
    checked=$((checked + 1))
    file=${from%:*} path=${target%%#*} anchor=
    [[ $target != *'#'* ]] || anchor=${target#*#}
    # A link that leaves the repository resolves on one machine only.
    to=$file
    [ -z "$path" ] || to=$(realpath -m --relative-to=. "$(dirname "$file")/$path")
    if [[ $to == ../* ]] || [ ! -e "$to" ]; then
        echo "$from: $target: there is no $to" >&2
        failed=$((failed + 1))
    elif [ -n "$anchor" ] && ! grep -qxF "heading $to $anchor" <<<"$all"; then
        echo "$from: $target: $to has no such heading" >&2
        failed=$((failed + 1))
    fi
done < <(grep '^link ' <<<"$all")
[ "$checked" -gt 0 ] || die "no link was found: the check itself is broken"
[ "$failed" = 0 ] || die "$failed of $checked links lead nowhere"
say "$checked links in ${#pages[@]} pages"
