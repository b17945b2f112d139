#!/bin/sh
# This is NOT a coding agent. It stands in for one, so that the demo needs no network, no key and no money: for each
# task it puts an edit in place that was written beforehand. Like a real one it is a fresh process per attempt, works in
# the repository, and can read what the last failed verify said.
set -eu
task=$1
feedback=$2
edits=$(dirname "$0")/edits
echo "fake agent: task $task, attempt $MACHINE_ATTEMPT"

case $task in
divide)
    if grep -q "cannot divide by zero" "$feedback"; then
        echo "fake agent: the tests say that dividing by zero is not handled; handling it"
        cp "$edits/divide.second.sh" lib/divide.sh
    else
        cp "$edits/divide.first.sh" lib/divide.sh
    fi
    ;;
*)
    cp "$edits/$task.sh" "lib/$task.sh"
    ;;
esac
echo "fake agent: done (so it says)"
