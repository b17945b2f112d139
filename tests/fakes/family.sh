# A worker with a family that does not want to die: a daemon in a session of its own, a child that ignores TERM and, with
# `hidden` as first argument, a double fork without any of our environment. The second time it looks for survivors.
if [ -e family.ready ]; then
  for file in *.pid; do
    state=$(sed 's/.*) //' "/proc/$(cat "$file")/stat" 2>/dev/null | cut -c1)
    case $state in ''|Z|X) ;; *) echo "$file" >> survivors.txt ;; esac
  done
  echo looked > looked.txt
  exit 0
fi
echo $$ > leader.pid
setsid sh -c 'trap "" TERM HUP INT; echo $$ > daemon.pid; while :; do sleep 1; done' &
sh -c 'trap "" TERM HUP INT; echo $$ > stubborn.pid; while :; do sleep 1; done' &
if [ "$1" = hidden ]; then
  env -i PATH="$PATH" sh -c 'setsid sh -c "echo \$\$ > hidden.pid; exec sleep 300" & exit 0'
  while ! [ -s hidden.pid ]; do sleep 0.01; done
fi
while ! { [ -s daemon.pid ] && [ -s stubborn.pid ]; }; do sleep 0.01; done
touch family.ready
trap "" TERM HUP INT
while :; do sleep 1; done
