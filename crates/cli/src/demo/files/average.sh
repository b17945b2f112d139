sum=$(sh "$0" add "$1" "$2")
sh "$0" divide "$sum" 2
