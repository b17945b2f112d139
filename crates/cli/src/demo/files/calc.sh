#!/bin/sh
# calc.sh OPERATION NUMBER...: a tiny calculator for whole numbers.
set -eu
operation=${1:?usage: calc.sh OPERATION NUMBER...}
shift
. "$(dirname "$0")/lib/$operation.sh"
