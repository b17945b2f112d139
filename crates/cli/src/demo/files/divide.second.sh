if [ "$2" -eq 0 ]; then
    echo "cannot divide by zero"
    exit 0
fi
echo $(($1 / $2))
