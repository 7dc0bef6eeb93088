#!/bin/sh
# Fails when recordings of any package have changes that no push has sent. Others of the state `assets status` tells,
# such as packages that are not restored, are no reason to stop.
set -u
document=$(assets status --all --json) || { assets status --all >&2; exit 1; }
# Lists that are not empty, and pushes that were interrupted.
case $(printf '%s\n' "$document" | sed 's/"pending":\[\]//g; s/"unpushed":null//g') in
*'"pending":['* | *'"unpushed":'*) ;;
*) exit 0 ;;
esac
assets status --all -v >&2
echo 'hint: send them with `assets push --all`, and commit the pins; or drop them with `assets reset --all`' >&2
exit 1
