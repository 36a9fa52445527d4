//! A disk that fails on purpose under a real node: at one call of one kind on one kind of file.
//!
//! The node is the program as it is shipped. What fails are its calls of the C library, which
//! `tests/support/disk_faults.c` stands in front of (`LD_PRELOAD`); its head says what it can do. Three other ways lost:
//! - A wrapper of the `Disk` trait, behind a cargo feature, sees the two logs alone. The databases of the index, the peers'
//!   file and the keys do not go through that trait, and what was tested would be another program than what runs.
//! - A variable that the program itself obeys is a door in every node.
//! - File systems that fail (FUSE, device mapper) need modules that machines for tests do not have.
//!
//! It takes the C compiler that the build takes. Of a static program nothing would fail, so each plan has to be seen to fire.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::net::Node;

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let library =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk_faults-{}.so", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk_faults.c");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    compile.args(["-ldl", "-lpthread"]);
    assert!(compile.status().expect("a C compiler").success());
    library
});

/// When the disk fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `write`, `sync`, `rename` or `make`.
    pub operation: &'static str,
    /// A part of the file's path below the data directory; `-` is any.
    pub part: &'static str,
    /// At the how manieth call of the process, from 1.
    pub count: u64,
    /// `kill`, `power`, `hang`, `eio` or `enospc`.
    pub what: &'static str,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, part, count, what } = self;
        write!(f, "{what} at {operation} {count} of {part}")
    }
}

/// What became of a plan.
pub struct Told {
    /// The file at which it fired; `None` if it did not.
    pub fired: Option<String>,
    /// Writes and syncs of the vote journal, and files made for it, after that.
    pub votes_after: Vec<String>,
}

fn told_path(node: &Node) -> PathBuf {
    node.config_path.with_file_name("disk_faults.told")
}

/// Has the disk of a node's directory fail under a command.
pub fn plan(node: &Node, command: &mut Command, plan: Plan) {
    let told = told_path(node);
    let _gone = std::fs::remove_file(&told);
    let Plan { operation, part, count, what } = plan;
    let data = node.data_dir().canonicalize().unwrap();
    command.env("LD_PRELOAD", &*LIBRARY).env("DISK_FAULTS_ROOT", data).env("DISK_FAULTS_TOLD", told);
    command.env("DISK_FAULTS", format!("{operation} {count} {what} {part}"));
}

/// Starts a node on a disk that fails by plan, without waiting for an answer.
pub fn spawn(node: &mut Node, faults: Plan) {
    let mut settings = Command::new("");
    plan(node, &mut settings, faults);
    let settings: Vec<_> =
        settings.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
    node.spawn_with(|command| {
        command.envs(settings);
    });
}

/// What the disk of the node that was started last has done.
pub fn told(node: &Node) -> Told {
    let text = std::fs::read_to_string(told_path(node)).unwrap_or_default();
    let path = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
    Told {
        fired: text.lines().find(|line| line.starts_with("fired ")).map(path),
        votes_after: text.lines().filter(|line| line.starts_with("after ")).map(str::to_owned).collect(),
    }
}
