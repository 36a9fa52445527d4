//! Tells the compiler which commit this is, for `timed --version`. Without git, or outside of its own repository, it says
//! nothing, and the version stands alone. Who builds without git but knows the commit sets `BUILD_COMMIT`.
//!
//! No name begins with `TIMED_`: cargo hands these variables to what it runs, and the node takes those for its configuration.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::path::Path;
use std::process::Command;

/// What git says; none if it fails or is not there.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// The commit, if this directory is the repository's own and not one that merely lies in another's.
fn commit() -> Option<String> {
    let (own, top) = (std::env::var("CARGO_MANIFEST_DIR").ok()?, git(&["rev-parse", "--show-toplevel"])?);
    (Path::new(&own).canonicalize().ok()? == Path::new(&top).canonicalize().ok()?).then_some(())?;
    // It changes with every commit and every switch to another one.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    let given = std::env::var("BUILD_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_commit =
        |commit: &String| commit.len() <= 40 && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    match given.or_else(commit).filter(is_commit) {
        Some(commit) => println!("cargo::rustc-env=BUILD_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=BUILD_VERSION={version}"),
    }
}
