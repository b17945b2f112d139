#!/bin/sh
# test.sh OPERATION: ground truth. Exits 0 only when the operation is right, else says what is wrong.
set -u
failed=0

expect() {
    wanted=$1
    shift
    got=$(sh ./calc.sh "$@" 2>&1)
    if [ "$got" = "$wanted" ]; then
        echo "ok    calc.sh $*"
    else
        echo "WRONG calc.sh $*: expected '$wanted', got '$got'"
        failed=1
    fi
}

case $1 in
add)
    expect 5 add 2 3
    expect -1 add 2 -3
    ;;
divide)
    expect 3 divide 6 2
    expect "cannot divide by zero" divide 1 0
    ;;
average)
    expect 4 average 3 5
    ;;
release)
    expect 1.0 release
    ;;
root)
    root=$(sh ./calc.sh root 2 2>/dev/null)
    square=$((${root:-0} * ${root:-0}))
    if [ "$square" -ne 2 ]; then
        echo "WRONG calc.sh root 2: ${root:-nothing} times itself is $square, not 2"
        failed=1
    fi
    ;;
*)
    echo "there is no test for '$1'"
    failed=1
    ;;
esac
exit $failed
