"""Prints the shell script of a step, found by a word in it, of a GitHub action or an Azure DevOps template."""

import sys

import yaml

path, word = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    document = yaml.safe_load(file)
steps = document.get("steps") or document["runs"]["steps"]
scripts = [step.get("run") or step.get("bash") or "" for step in steps]
[script] = [script for script in scripts if word in script]
# Values reach a script through its environment: in its text they could be commands.
assert "${{" not in script and "$(" not in script.replace("$(assets", ""), script
print(script)
