# An honest worker: says that it ran, then does what its task's id asks for.
echo "$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION" >> runs.txt
case $MACHINE_TASK_ID in
  feedback) cp "$MACHINE_FEEDBACK_FILE" heard.txt ;;
  output) head -c 300000 /dev/zero ;;
  slow) sleep 0.1 ;;
esac
printf '%s\n' "$MACHINE_TASK_ID" >> did.txt
