#!/usr/bin/env bash
# Installs the hooks with pre-commit from a repository with what they need of this one, and commits, pushes and checks
# out with git.
. "$(dirname "$0")/../testing.sh"

export PRE_COMMIT_HOME=$lab/pre-commit
hooks=$lab/hooks
git init -q "$hooks"
mkdir "$hooks/integrations"
cp "$project/.pre-commit-hooks.yaml" "$hooks"
cp -r "$integrations/pre-commit" "$hooks/integrations"
git -C "$hooks" add -A
git -C "$hooks" commit -q -m "Hooks"

make_repos "$integrations/pytest/example"
manifest=$code/sdk/greetings/assets.json
git init -q --bare "$lab/code.git"
git -C "$code" remote add origin "$lab/code.git"
sed "s,repo: .*,repo: $hooks,; s,rev: .*,rev: $(git -C "$hooks" rev-parse HEAD)," \
    "$integrations/pre-commit/example/.pre-commit-config.yaml" >"$code/.pre-commit-config.yaml"
cd "$code"

check "the hooks are valid" "$INTEGRATIONS_TEMP/venv/bin/pre-commit" validate-manifest "$project/.pre-commit-hooks.yaml"
check "the hooks install" "$INTEGRATIONS_TEMP/venv/bin/pre-commit" install --install-hooks

commits() {
    git add -A
    echo >>"$manifest"
    git commit -q -am "Hooks"
    says "assets.json files are valid"
    was_called 1 "^config show sdk/greetings/assets.json$"
}
check "commit: good manifests pass" commits

refuses_commit() {
    printf '<<<<<<< HEAD\n{\n=======\n{{\n>>>>>>> theirs\n' >"$manifest"
    fails_with 1 git commit -q -am "Broken"
    says "error: "
    says "conflict"
    git checkout -q HEAD -- "$manifest"
}
check "commit: a manifest with conflict markers is refused with the error of assets" refuses_commit

restores() {
    make_cold
    git checkout -q -b topic
    was_called 1 "^restore --all"
    [ -e "$(assets config locate sdk/greetings)/sdk/greetings/tests/recordings/hello.json" ]
}
check "checkout: restores" restores

pushes() {
    git push -q origin topic
    says "recordings are pushed"
}
check "push: passes without pending recordings" pushes

refuses_push() {
    echo '{"request": "GET /hello?again"}' \
        >"$(assets config locate sdk/greetings)/sdk/greetings/tests/recordings/hello.json"
    git commit -q --allow-empty -m "Code for a new recording"
    fails_with 1 git push -q origin topic
    says "M recordings/sdk/greetings/tests/recordings/hello.json"
    says 'hint: send them with `assets push --all`'
    ASSETS_SECRET_SCANNER=none assets push -m "Record again" sdk/greetings
    git commit -q -am "Move the pin"
    git push -q origin topic
}
check "push: refused until pending recordings are pushed" refuses_push

not_restored() {
    make_cold
    git commit -q --allow-empty -m "More"
    git push -q origin topic
}
check "push: packages that are not restored are no reason to stop" not_restored
finish
