//! How much memory there is: what the machine has to spare, or the control group allows. Linux only says so in files.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups (version 2) are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Bytes that this process may hope for, now. `None`: the system does not say.
pub fn memory() -> Option<usize> {
    let spare = fs::read_to_string("/proc/meminfo").ok().and_then(|text| spare(&text));
    let own = fs::read_to_string("/proc/self/cgroup").ok();
    let groups = own.iter().flat_map(|text| groups(text));
    let allowed = groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    spare.into_iter().chain(allowed).min()
}

/// MemAvailable: what is free, and what would be given up for it. Source: proc(5).
fn spare(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: usize = line.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files with the limits of this process's control group and of those around it; "max", which is no number, is none.
/// Source: cgroups(7), /proc/PID/cgroup; Linux `Documentation/admin-guide/cgroup-v2.rst`, memory.max.
fn groups(own: &str) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    Path::new(path).ancestors().map(|group| Path::new(CGROUPS).join(group).join("memory.max")).collect()
}

#[cfg(test)]
mod tests {
    //! The files' formats.
    use super::*;

    #[test]
    fn what_the_machine_has_to_spare_is_read_in_bytes() {
        assert_eq!(spare("MemTotal:  9 kB\nMemAvailable:    2048 kB\nBuffers: 1 kB\n"), Some(2 << 20));
        assert_eq!(spare("MemTotal:  9 kB\n"), None);
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn every_group_around_the_process_may_limit_it() {
        let files: Vec<_> = groups("1:cpu:/x\n0::/system.slice/pgotter.service\n");
        let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let expected = ["system.slice/pgotter.service/", "system.slice/", ""];
        assert_eq!(shown, expected.map(|group| format!("/sys/fs/cgroup/{group}memory.max")));
        assert_eq!(groups("0::/\n").len(), 1);
        assert_eq!(groups("4:memory:/x\n").len(), 0);
    }
}
