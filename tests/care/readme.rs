//! The README's section "Care of the data", by its very commands.

use std::process::Command;

use timed::runtime::config::StorageEngine;

use crate::home::Home;

const README: &str = include_str!("../../README.md");

#[test]
fn the_commands_of_the_section_do_what_it_says() {
    let section = README.split("\n## Care of the data\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    timed ")).collect();
    let names: Vec<&str> = commands.iter().filter_map(|command| command.split_whitespace().nth(1)).collect();
    for name in ["check", "repair", "reindex", "compact", "backup", "restore"] {
        assert!(names.contains(&name), "the README shows no {name}");
    }
    let home = Home::new(StorageEngine::Sled, true);
    home.reindex();
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(home.path(), place.path().join("mynode")).unwrap();
    for command in commands {
        let mut timed = Command::new(env!("CARGO_BIN_EXE_timed"));
        timed.current_dir(place.path()).args(command.split_whitespace());
        let output = timed.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        if command.contains("--json") {
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        }
    }
    assert!(place.path().join("restored/data/blocks/00000001.seg").exists());
    assert!(!place.path().join("restored/data/votes").exists(), "INV-BACKUP-1");
}
