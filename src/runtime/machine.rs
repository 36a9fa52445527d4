//! What the machine grants a process: memory and open files, for this process or another one.
//!
//! # Place
//! The configuration sizes its caches by it, and the doctor holds the node to it.
//!
//! A process may have less memory than its machine: a control group that it belongs to, or one above that, may be limited.
//! Both versions of the kernel's interface are read. What the operating system doesn't tell is `None`.

use std::path::Path;

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

fn proc_text(process: Option<u32>, file: &str) -> Option<String> {
    let name = process.map_or_else(|| "self".to_owned(), |process| process.to_string());
    std::fs::read_to_string(format!("/proc/{name}/{file}")).ok()
}

/// Memory of the machine, in bytes.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The least limit of memory of the control groups that a process belongs to, in bytes; this one's without a number.
#[must_use]
pub fn memory_limit_bytes(process: Option<u32>) -> Option<u64> {
    let groups = proc_text(process, "cgroup").unwrap_or_default();
    limit_in(Path::new(GROUPS), &groups)
}

/// The least limit in a tree of groups, for the groups that `/proc/PID/cgroup` names. A container shows its own group as the
/// root, so the root is read in any case.
fn limit_in(tree: &Path, groups: &str) -> Option<u64> {
    let groups = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let second = groups.clone().filter(|(controllers, _)| controllers.is_empty());
    let first = groups.filter(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let files = [(tree.to_owned(), "memory.max"), (tree.join("memory"), "memory.limit_in_bytes")];
    let [second, first] =
        [second.map(|(_, group)| group).collect::<Vec<_>>(), first.map(|(_, group)| group).collect()];
    let limits = files.into_iter().zip([second, first]).flat_map(|((root, file), groups)| {
        let above =
            |group: &str| -> Vec<_> { Path::new(group).ancestors().map(|path| root.join(path)).collect() };
        let mut places: Vec<_> = groups.into_iter().flat_map(above).collect();
        places.push(root.clone());
        places.into_iter().filter_map(move |place| std::fs::read_to_string(place.join(file)).ok())
    });
    // Without a limit it says `max`.
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

/// The memory that a process may take, in bytes: the machine's, or less if its control groups say so.
#[must_use]
pub fn memory_of_process(process: Option<u32>) -> Option<u64> {
    memory_bytes().into_iter().chain(memory_limit_bytes(process)).min()
}

/// Files and sockets that a process may have open.
#[must_use]
pub fn open_files(process: Option<u32>) -> Option<u64> {
    open_files_in(&proc_text(process, "limits")?)
}

fn open_files_in(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_process_groups_counts_in_both_versions() {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let of = |groups: &str| limit_in(tree.path(), groups);
        let second = "0::/system.slice/timed.service\n";
        assert_eq!(of(second), None);
        write("system.slice/timed.service/memory.max", "max\n");
        assert_eq!(of(second), None);
        write("system.slice/memory.max", "3000\n");
        assert_eq!(of(second), Some(3_000), "a group above is limited");
        write("system.slice/timed.service/memory.max", "2000\n");
        assert_eq!((of(second), of("0::/\n"), of("0::/user.slice\n")), (Some(2_000), None, None));
        write("memory.max", "1000\n");
        assert_eq!(of(second), Some(1_000), "as in a container");
        let first = "5:cpu,memory:/docker/7\n1:name=systemd:/docker/7\n";
        write("memory/docker/7/memory.limit_in_bytes", "500\n");
        assert_eq!((of(first), of("")), (Some(500), Some(1_000)));
    }

    #[test]
    fn open_files_are_read_from_the_limits_of_a_process() {
        let head = "Limit                     Soft Limit           Hard Limit           Units     \n";
        let with = |soft: &str| {
            format!(
                "{head}Max open files            {soft}                 4096                 files     \n"
            )
        };
        assert_eq!(open_files_in(&with("1024")), Some(1_024));
        assert_eq!(open_files_in(&with("unlimited")), Some(u64::MAX));
        assert_eq!(open_files_in(head), None);
        assert!(open_files(None).is_some_and(|files| files > 0));
        assert_eq!(open_files(None), open_files(Some(std::process::id())));
    }

    #[test]
    fn a_process_has_no_more_memory_than_its_machine() {
        let machine = memory_bytes().unwrap();
        assert!(machine > 64 << 20, "a machine that builds this has more");
        assert!(memory_of_process(None).unwrap() <= machine);
    }
}
