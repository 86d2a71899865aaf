# Ends every process that lives in the folder $1, then removes it. Started with a pipe as standard input, it first waits
# until the other end has closed: that is how a folder is cleared whatever way its owner went.
#
# "Lives in" means: its working directory is there. So no pid is ever looked up in a file, where it may be stale.
trap '' HUP INT TERM
cat > /dev/null
dir=$1
# Somebody else may remove it meanwhile.
inside() { find /proc/[0-9]*/cwd \( -lname "$dir" -o -lname "$dir (deleted)" -o -lname "$dir/*" \) 2> /dev/null | cut -d / -f 3; }
tell() { for pid in $(inside); do kill -s "$1" "$pid" 2> /dev/null; done; }

tell CONT # a frozen process takes no other signal
tell QUIT # for PostgreSQL: stop at once, but give back shared memory
tries=50
while [ $tries -gt 0 ] && [ -n "$(inside)" ]; do
    sleep 0.1
    tries=$((tries - 1))
done
tell KILL
rm -rf "$dir"
