//! A network of one's own, by the very commands of the README's section, in four directories of this machine.

use std::path::{Path, PathBuf};

use timed::rpc::types::NodeState;

use crate::net::{Node, run_to_end, timed};
use crate::turns::{Needs, turn};

const README: &str = include_str!("../../README.md");
const HOMES: [&str; 4] = ["a", "b", "c", "d"];
/// The README leaves people more time.
const START: &str = "40s";

/// The commands of a section, each with its continuation lines.
fn commands(section: &str) -> Vec<Vec<String>> {
    let start = format!("\n## {section}\n");
    let text = README.split(&start).nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let whole = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    whole.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

struct Place {
    home: tempfile::TempDir,
    turn: usize,
    /// The words of the README that stand for what commands print, and what they printed.
    told: Vec<(String, String)>,
    nodes: Vec<Node>,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a command of the README in the directory, and gives what it printed.
    fn types(&mut self, words: &[String], more: &[&str]) -> String {
        self.turn += 1;
        let output = self.path(&format!("said.{}", self.turn));
        let filled = words.iter().map(|word| {
            self.told.iter().fold(word.clone(), |word, (name, value)| word.replace(name.as_str(), value))
        });
        let mut command = timed();
        command.current_dir(self.home.path()).args(filled.skip(1)).args(more);
        let (code, said) = run_to_end(&mut command, &output);
        assert_eq!(code, 0, "{words:?}: {said}");
        said
    }

    fn start(&mut self, config: &str) {
        let path = self.path(config);
        let port: u16 = {
            let text = std::fs::read_to_string(&path).unwrap();
            let rpc = text.split("[rpc]").nth(1).unwrap();
            let address = rpc.lines().find_map(|line| line.strip_prefix("listen_address = ")).unwrap();
            address.trim_matches('"').rsplit_once(':').unwrap().1.parse().unwrap()
        };
        let mut node = Node::new(path, port);
        node.start();
        self.nodes.push(node);
    }
}

/// The same command for each founder, where the README shows that of the first.
fn for_each_founder(words: &[String]) -> Vec<Vec<String>> {
    if !words.iter().any(|word| word.starts_with("a/")) {
        return vec![words.to_vec()];
    }
    let of = |home: &&str| {
        let own = |word: &String| match word.strip_prefix("a/") {
            Some(rest) => format!("{home}/{rest}"),
            None => word.clone(),
        };
        words.iter().map(own).collect()
    };
    HOMES.iter().map(of).collect()
}

fn value_of<'a>(words: &'a [String], flag: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| word == flag)?;
    words.get(place + 1).map(String::as_str)
}

fn write_password(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, "a password of the test\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn four_founders_make_a_network_by_the_words_of_the_readme() {
    let _turn = turn(Needs::Ports);
    let mut place =
        Place { home: tempfile::tempdir().unwrap(), turn: 0, told: Vec::new(), nodes: Vec::new() };
    write_password(&place.path("password"));
    let password = ["--password-file", "password"];
    let mut paid = false;
    for words in commands("A network of one's own") {
        let starts = |start: &[&str]| words.iter().zip(start).all(|(word, expected)| word == expected);
        if starts(&["timed", "init"]) {
            let said = place.types(&words, &[]);
            let home = value_of(&words, "--home").unwrap().to_uppercase();
            if let Some(key) = said.lines().find_map(|line| line.strip_prefix("operator key ")) {
                place.told.push((format!("KEY_{home}"), key.to_owned()));
            }
        } else if starts(&["timed", "wallet", "new"]) {
            let said = place.types(&words, &password);
            let address = said.lines().rfind(|line| line.starts_with("ttime1")).unwrap();
            place.told.push(("ADDRESS".to_owned(), address.to_owned()));
        } else if starts(&["timed", "genesis", "new"]) {
            let mut words = words;
            let at = words.iter().position(|word| word == "--start").unwrap();
            words[at + 1] = START.to_owned();
            let said = place.types(&words, &[]);
            assert!(said.contains("4, of weight 40 together; 27 decide"), "{said}");
        } else if starts(&["timed", "votes", "new"]) {
            for words in for_each_founder(&words) {
                let said = place.types(&words, &[]);
                assert!(said.contains("(in ") && !said.contains("WARNING"), "{said}");
            }
        } else if starts(&["cp", "genesis.toml"]) {
            for words in for_each_founder(&words) {
                std::fs::copy(place.path(&words[1]), place.path(&words[2])).unwrap();
            }
        } else if starts(&["timed", "--config"]) {
            for words in for_each_founder(&words) {
                place.start(&words[2]);
            }
        } else if starts(&["timed", "status"]) {
            for node in &place.nodes {
                node.wait_state(NodeState::Voting);
                node.wait_height(1);
            }
            assert!(place.types(&words, &[]).contains("4 of 4 connected, quorum 27 of weight 40"));
        } else if starts(&["timed", "wallet", "send"]) {
            let said = place.types(&words, &password);
            assert!(said.contains("final"), "{said}");
            paid = true;
        } else {
            let said = place.types(&words, &[]);
            assert!(!said.is_empty(), "{words:?}");
        }
    }
    assert!(paid && place.nodes.len() == 5, "the README starts four founders and a fifth node, and pays");
    // Only a devnet's nodes can be cut off.
    let refused = place.nodes[0].try_call::<bool>("setnetworkactive", &[false.into()]).unwrap_err();
    assert!(refused.to_string().contains("devnet_only"), "{refused}");
    assert!(place.nodes[0].node_status().peers > 0);
    place.nodes[4].wait_state(NodeState::Following);
    place.nodes[4].wait_height(place.nodes[0].height());
    assert_eq!(place.nodes[4].hash_at(1), place.nodes[0].hash_at(1));
}
