//! Which system calls a container may make: what containerd's default profile leaves to one with
//! the default capabilities.

use serde_json::{Value, json};

/// Calls that are always allowed; what a call may do beyond that, capabilities decide. A name
/// that the runtime's library does not know yet is left out by the runtime.
const ALLOWED: &str = "
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset
    chdir chmod chown chown32 chroot clock_adjtime clock_adjtime64 clock_getres
    clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
    close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
    execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate
    fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64
    fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents
    getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
    getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid
    gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr
    link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr
    lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack
    membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2
    mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
    msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open
    openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
    pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
    process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget
    semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto
    set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32
    setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt
    setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd
    signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64
    statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat
    uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write
    writev
";

/// Calls that are allowed on one kind of processor only.
const ALLOWED_HERE: &[&str] = match cfg!(target_arch = "aarch64") {
    true => &[
        "arm_fadvise64_64",
        "arm_sync_file_range",
        "breakpoint",
        "cacheflush",
        "set_tls",
        "sync_file_range2",
    ],
    false => &["arch_prctl", "modify_ldt"],
};

/// The execution domains that programs of today use: Linux, with or without the address limit of
/// old programs and their `uname`, and the question for the present one.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// All kinds of namespaces that `clone` can make.
const NAMESPACES: u64 = 0x7e02_0000;

/// The kernel's own crypto and the sockets of hypervisors, neither of them for containers.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// "There is no such call": the C library then takes the older one, whose flags can be seen.
const ENOSYS: u32 = 38;

/// The profile, as the OCI runtime reads it.
pub(crate) fn profile() -> Value {
    let architectures: &[&str] = match cfg!(target_arch = "aarch64") {
        true => &["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"],
        false => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    };
    let allowed: Vec<&str> =
        ALLOWED.split_ascii_whitespace().chain(ALLOWED_HERE.iter().copied()).collect();
    let mut calls = vec![
        json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}),
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}),
        json!({
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{
                "index": 0,
                "value": NAMESPACES,
                "valueTwo": 0,
                "op": "SCMP_CMP_MASKED_EQ",
            }],
        }),
    ];
    calls.extend(PERSONALITIES.map(|domain| when("personality", domain, "SCMP_CMP_EQ")));
    // One condition a rule: the runtime takes several of one argument for alternatives.
    calls.push(when("socket", AF_ALG, "SCMP_CMP_LT"));
    calls.push(when("socket", AF_ALG + 1, "SCMP_CMP_EQ"));
    calls.push(when("socket", AF_VSOCK, "SCMP_CMP_GT"));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": architectures,
        "syscalls": calls,
    })
}

/// A call that is allowed for some values of its first argument.
fn when(name: &str, value: u64, comparison: &str) -> Value {
    json!({
        "names": [name],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": value, "op": comparison}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(name: &str) -> bool {
        ALLOWED.split_ascii_whitespace().any(|one| one == name)
    }

    #[test]
    fn what_changes_the_machine_is_not_allowed() {
        let denied = "add_key bpf delete_module fanotify_init finit_module fsconfig fsmount fsopen \
                      init_module io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl \
                      mount mount_setattr move_mount open_by_handle_at open_tree perf_event_open \
                      pidfd_getfd pivot_root quotactl reboot request_key setns settimeofday swapoff \
                      swapon syslog umount2 unshare userfaultfd vhangup";
        let allowed: Vec<&str> =
            denied.split_ascii_whitespace().filter(|name| always(name)).collect();
        assert!(allowed.is_empty(), "{allowed:?}");
    }

    #[test]
    fn names_are_in_order_and_once() {
        let names: Vec<&str> = ALLOWED.split_ascii_whitespace().collect();
        assert!(names.is_sorted_by(|one, next| one < next));
        assert!(["clone", "clone3", "socket", "personality"].iter().all(|name| !always(name)));
    }
}
