# Tries to get out of a container, or to more of the machine than the container was given. Prints
# what the kernel says of this process, then a line for each try that went through.
#
# Needs bash and perl, and runs as root of the container.

grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t' ' '

# A command that must fail.
try() {
  local name=$1
  shift
  if ("$@") >/dev/null 2>&1; then echo "escaped: $name"; fi
}

# A file that must not be written to.
written() {
  try "writes $1" bash -c 'echo "$1" >"$2"' sh "$2" "$1"
}

# Without the control groups and namespaces of the container, none of its bounds hold.
cmp -s /proc/self/cgroup /proc/1/cgroup || echo "escaped: control groups $(tr '\n' ' ' </proc/self/cgroup)"
for kind in cgroup ipc mnt net pid user uts; do
  [ "$(readlink /proc/self/ns/$kind)" = "$(readlink /proc/1/ns/$kind)" ] || echo "escaped: namespace $kind"
done

# System calls: each must be refused as not permitted, number by number on x86-64 and on arm64.
perl -e '
  my %calls = (
    add_key => [248, 217], bpf => [321, 280], init_module => [175, 105], io_uring_setup => [425, 425],
    kexec_load => [246, 104], keyctl => [250, 219], mount => [165, 40], move_mount => [429, 429],
    open_by_handle_at => [304, 265], open_tree => [428, 428], perf_event_open => [298, 241],
    pidfd_getfd => [438, 438], pivot_root => [155, 41], reboot => [169, 142], setns => [308, 268],
    swapon => [167, 224], syslog => [103, 116], umount2 => [166, 39], unshare => [272, 97],
    userfaultfd => [323, 282],
  );
  my $arm = `uname -m` =~ /aarch64/ ? 1 : 0;
  for my $name (sort keys %calls) {
    # The new user namespace for unshare, the question for a keyring for keyctl; harmless elsewhere.
    my @words = $name eq "unshare" ? (0x10000000) : $name eq "keyctl" ? (0, -3, 0) : (0, 0, 0, 0, 0);
    $! = 0;
    my $result = syscall($calls{$name}[$arm], @words);
    print "escaped: call $name ($!)\n" unless $result == -1 && $! == 1;
  }
  $! = 0;
  syscall(435, 0, 0);
  print "escaped: call clone3 ($!)\n" unless $! == 38;
  for my $family (38, 40) {
    print "escaped: socket of family $family\n" if socket(my $socket, $family, 5, 0) || $! != 1;
  }
'

# The machine's settings and controls.
written /proc/sys/kernel/core_pattern '|/tmp/evil'
written /proc/sys/kernel/hostname evil
written /proc/sys/vm/drop_caches 1
written /proc/sysrq-trigger h
written /sys/kernel/uevent_helper /tmp/evil
for folder in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [[ $(stat -f -c %T "$folder") == cgroup* ]] || continue
  written "$folder/cgroup.procs" $$
  written "$folder/release_agent" /tmp/evil
  try "makes a control group in $folder" mkdir "$folder/evil"
done
for kind in cgroup cgroup2 proc sysfs tmpfs overlay; do
  try "mounts $kind" mount -t "$kind" none /mnt
done
try "mounts again" mount -o remount,rw /sys

# Devices can be made, as in any container with these capabilities, and not be opened.
tried=/tmp/device.$$
while read -r major minor _ name; do
  [[ $major =~ ^[0-9]+$ ]] || continue
  mknod $tried b "$major" "$minor" && try "reads the disk $name" head -c 1 $tried
  rm -f $tried
done </proc/partitions
for device in "mem 1 1" "kmsg 1 11" "kvm 10 232" "fuse 10 229"; do
  read -r name major minor <<<"$device"
  mknod $tried c "$major" "$minor" && try "opens $name" bash -c ": <$tried"
  rm -f $tried
done

# What the kernel tells about the whole machine.
for file in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do
  [ "$(head -c 8 $file 2>/dev/null | wc -c)" = 0 ] || echo "escaped: reads $file"
done
[ -z "$(ls /sys/firmware 2>/dev/null)" ] || echo "escaped: lists /sys/firmware"

# Programs that this machine lends, by their own path and by that of a process that runs them.
for program in /charm/bin/* /usr/bin/juju-exec; do
  [ -e "$program" ] && try "overwrites $program" bash -c ": >>$program"
done
for process in /proc/[0-9]*; do
  case $(readlink "$process/exe") in
    /charm/bin/*) try "overwrites $(readlink "$process/exe") by $process" bash -c ": >>$process/exe" ;;
    /usr/*bin/nsenter | /usr/*bin/runc) echo "escaped: sees $(readlink "$process/exe") of the machine" ;;
  esac
  # A process of another namespace would have no number here, and its root would be elsewhere.
  [ "$(readlink "$process/root" 2>/dev/null || echo /)" = / ] || echo "escaped: sees the root of $process"
done
echo done
