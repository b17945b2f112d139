# A worker that leaves fifty daemons behind, each holding its output, and says nothing of it.
n=0
while [ $n -lt 50 ]; do
  sh -c 'trap "" TERM HUP; while :; do sleep 5; done' &
  echo $! >> children.txt
  n=$((n + 1))
done
